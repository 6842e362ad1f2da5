"""NAS-Bench-101: 423,624 cells of up to 7 vertices, 9 edges and 3 operations (Ying et al., ICML 2019)."""
