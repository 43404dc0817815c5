//! Users' tokens, signed with real keys, and a provider on a real socket that counts its requests.

mod any_input;
mod claims;
mod config;
mod fetching;
mod fixture;
mod keys;
mod provider;
mod verifying;
