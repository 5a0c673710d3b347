"""A gRPC client that is not ours: `buf curl`, which learns the services by reflection."""
