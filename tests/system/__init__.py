"""The whole system, as ``vitalstream up`` runs it, under the faults that an operator meets."""
