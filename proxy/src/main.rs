//! Forebay: a caching reverse proxy with static offload for PHP and WordPress farms.
//!
//! The way through the code: [`cli`] reads the command line; [`assemble`] makes a [`runtime`] of the configuration;
//! [`listen`] turns connections into requests; [`service`] is the life of a request, stage by stage; [`fetch`] is what a
//! fill does; [`shutdown`] and [`reload`] are what signals do.

mod account;
mod admin;
mod assemble;
mod cli;
mod cluster;
mod compress;
mod context;
mod deadline;
mod demo;
mod doctor;
mod explain;
mod fetch;
mod front;
mod guard;
mod http;
mod listen;
mod purge;
mod reason;
mod reload;
mod route;
mod runtime;
mod service;
mod shared;
mod shutdown;
mod siblings;
mod simulate;
mod site;
mod stages;
mod tcp;
mod top;
mod upstream;

use std::process::ExitCode;

/// Memory is given back to the system when load goes down, and small objects cost less than with the C library's.
#[cfg(not(test))] // Tests count what is allocated.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
