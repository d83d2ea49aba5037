//! Addresses on the loopback.

use super::Task;
use crate::fib::Error;
use crate::fib::netlink;
use crate::fib::plan::Outcome;
use crate::fib::socket::Requester;
use std::net::IpAddr;
use tracing::warn;

impl Task {
    pub(super) async fn bind(&mut self, address: IpAddr, requester: &mut Requester) -> Result<(), Error> {
        if self.last.is_none() {
            self.resync(requester).await;
        }
        self.bound.entry(address).or_insert(false);
        match self.change_address(address, true, requester).await {
            Ok(()) => {
                self.bound.insert(address, true);
                Ok(())
            }
            Err(Error::Kernel(EEXIST)) => {
                let ours = self.table.host().marked.contains(&address);
                self.bound.entry(address).and_modify(|mine| *mine |= ours);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn unbind(&mut self, address: IpAddr, requester: &mut Requester) -> Result<(), Error> {
        let mine = self.bound.remove(&address).unwrap_or(false) || self.table.host().marked.contains(&address);
        if !mine {
            return Ok(());
        }
        match self.change_address(address, false, requester).await {
            Err(Error::Kernel(EADDRNOTAVAIL)) => Ok(()),
            other => other,
        }
    }

    pub(super) async fn sweep_addresses(&mut self, requester: &mut Requester) -> Result<(), Error> {
        if self.last.is_none() {
            self.resync(requester).await;
        }
        let left: Vec<IpAddr> = self.table.host().marked.iter().filter(|a| !self.bound.contains_key(a)).copied().collect();
        for address in left {
            self.unbind(address, requester).await?;
        }
        Ok(())
    }

    async fn change_address(&mut self, address: IpAddr, add: bool, requester: &mut Requester) -> Result<(), Error> {
        let index = self.table.host().loopback().ok_or(Error::Kernel(ENODEV))?;
        let request = netlink::change_address(address, index, self.params.protocol, add);
        match self.send(vec![request], requester).await.first() {
            Some(Outcome::Done) => Ok(()),
            Some(Outcome::Refused(errno)) => Err(Error::Kernel(*errno)),
            Some(Outcome::Unknown) | None => Err(Error::NoAnswer),
        }
    }

    /// Puts back addresses that somebody removed.
    pub(super) async fn restore_addresses(&mut self, requester: &mut Requester) {
        let lost: Vec<IpAddr> = self.bound.keys().filter(|a| !self.table.host().is_own(**a)).copied().collect();
        for address in lost {
            match self.change_address(address, true, requester).await {
                Ok(()) => {
                    self.bound.insert(address, true);
                }
                Err(error) => warn!(%address, %error, "cannot restore address"),
            }
        }
    }
}

const EEXIST: i32 = 17;
const ENODEV: i32 = 19;
const EADDRNOTAVAIL: i32 = 99;
