"""The quick start, the studies, and the reports made from their records alone."""
