"""Peerage: serverless federated learning with a public register of who contributed what."""
