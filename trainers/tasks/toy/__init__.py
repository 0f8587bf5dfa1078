"""The toy world: a generated multilingual world, so that everything runs with nothing downloaded."""
