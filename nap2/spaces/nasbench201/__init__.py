"""NAS-Bench-201: 15,625 cells of 4 nodes, 6 edges and 5 operations (Dong & Yang, ICLR 2020)."""
