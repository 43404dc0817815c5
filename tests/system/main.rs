//! Tests of the whole system: the real `clonk` is started, used, overloaded and killed, and the official clients call a
//! test application.

mod bad_input;
mod clients_js;
mod clients_python;
mod clients_rust;
mod clock;
mod codegen;
mod crash;
mod damaged_documents;
mod damaged_log;
mod disk;
mod files;
mod files_crash;
mod files_s3;
mod first_start;
mod gallery;
mod greedy_clients;
mod identifiers;
mod last_words;
mod memory;
mod node_client;
mod other_programs;
mod page;
mod processes;
mod refusals;
mod removed_files;
mod request_ids;
mod schedule;
