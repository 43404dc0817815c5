//! The real `clonk`, started, used, overloaded and killed.

mod bad_input;
mod crash;
mod disk;
mod first_start;
mod greedy_clients;
mod node_client;
mod refusals;
mod tidy;
