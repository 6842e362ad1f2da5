"""A campaign trains many candidates into one store, by any number of processes that may die at any moment.

The store alone knows what is done; a campaign keeps no list of its own. So whoever is killed, wherever, the next call
goes on with what is missing, and the result does not depend on the number of workers, their order, or their deaths.
"""
