//! EC2: the VPC and compute actions.
