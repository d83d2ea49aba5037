//! Hostile peers against the daemon over TCP: each input is sent by a peer that has announced routes before, is followed by a
//! sentinel, and is watched by an honest bystander whose session must not notice. Inputs and their classes are those of
//! `proto-tests/vectors`, and more that only make sense with a session.

#[path = "../vectors/notation.rs"]
mod notation;
#[path = "../daemon/setup.rs"]
mod setup;

mod bystander;
mod catalogue;
mod chance;
mod driver;
mod limits;
mod mutations;
mod peer;
mod states;
mod supervision;
mod victim;
