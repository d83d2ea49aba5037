//! The addresses on the loopback interface, through the kernel task of the speaker, or one of our own where that installs no routes.

use crate::fib;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use tracing::{info, warn};

/// Addresses that are bound for our services.
#[derive(Default)]
pub struct Loopback {
    kernel: Option<Kernel>,
    bound: BTreeSet<IpAddr>,
    /// What could not be bound, and why.
    errors: BTreeMap<IpAddr, String>,
    /// This kernel task has not been told yet what is bound.
    is_new: bool,
    /// Leftovers of an earlier life are gone.
    is_swept: bool,
}

enum Kernel {
    Speaker(Arc<fib::Handle>),
    /// With the mark on its addresses.
    Own(fib::Handle, u8),
}

impl Kernel {
    fn handle(&self) -> &fib::Handle {
        match self {
            Self::Speaker(handle) => handle,
            Self::Own(handle, _) => handle,
        }
    }
}

impl Loopback {
    /// Turns to the kernel task of the speaker, or where it has none and one is `needed` to one of our own. `mark` tells our addresses
    /// from those of others.
    pub async fn choose(&mut self, speaker: Option<Arc<fib::Handle>>, mark: u8, needed: bool) {
        let fits = match (&self.kernel, &speaker) {
            (Some(Kernel::Speaker(old)), Some(new)) => Arc::ptr_eq(old, new),
            (Some(Kernel::Own(_, old)), None) => *old == mark,
            (None, None) => !needed,
            _ => false,
        };
        if fits {
            return;
        }
        if let Some(Kernel::Own(handle, old)) = &self.kernel
            && *old != mark
        {
            // With another mark they would count as somebody else's.
            for address in &self.bound {
                let _ = handle.remove_address(*address).await;
            }
        }
        self.kernel = match speaker {
            Some(handle) => Some(Kernel::Speaker(handle)),
            None if needed => Self::open(mark),
            None => None,
        };
        (self.is_new, self.is_swept) = (true, false);
    }

    /// Binds these addresses and no others of ours.
    pub async fn bind(&mut self, wanted: &BTreeSet<IpAddr>) {
        self.errors.retain(|address, _| wanted.contains(address));
        let Some(kernel) = &self.kernel else {
            wanted.iter().for_each(|address| failed(&mut self.errors, *address, "netlink cannot be opened"));
            return;
        };
        for address in self.bound.difference(wanted) {
            match kernel.handle().remove_address(*address).await {
                Ok(()) => info!(%address, "address removed from the loopback interface"),
                Err(error) => warn!(%address, %error, "the address stays on the loopback interface"),
            }
        }
        self.bound.retain(|address| wanted.contains(address));
        let is_new = std::mem::take(&mut self.is_new);
        for address in wanted.iter().filter(|address| is_new || !self.bound.contains(address)).copied().collect::<Vec<_>>() {
            match kernel.handle().add_address(address).await {
                Ok(()) => {
                    self.errors.remove(&address);
                    if self.bound.insert(address) {
                        info!(%address, "address bound to the loopback interface");
                    }
                }
                Err(error) => {
                    self.bound.remove(&address);
                    failed(&mut self.errors, address, &error.to_string());
                }
            }
        }
    }

    /// Removes what an earlier life left and this one does not need: to be called when all that is needed is bound.
    pub async fn sweep(&mut self) {
        let Some(kernel) = self.kernel.as_ref().filter(|_| !self.is_swept) else { return };
        match kernel.handle().sweep_addresses().await {
            Ok(()) => self.is_swept = true,
            Err(error) => warn!(%error, "addresses of an earlier run cannot be removed from the loopback interface"),
        }
    }

    /// The end; with `keep` everything stays for the next life. The speaker's kernel task sees to its addresses itself.
    pub async fn end(mut self, keep: bool) {
        if let (Some(Kernel::Own(..)), false) = (&self.kernel, keep) {
            self.bind(&BTreeSet::new()).await;
        }
    }

    pub fn has(&self, address: &IpAddr) -> bool {
        self.bound.contains(address)
    }

    pub fn error(&self, address: &IpAddr) -> Option<&str> {
        self.errors.get(address).map(String::as_str)
    }

    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    fn open(mark: u8) -> Option<Kernel> {
        match fib::spawn(fib::Params { protocol: mark, ..fib::Params::default() }) {
            Ok((handle, _)) => Some(Kernel::Own(handle, mark)),
            Err(error) => {
                warn!(%error, "netlink cannot be opened");
                None
            }
        }
    }
}

/// Notes why an address is missing, and says it once.
fn failed(errors: &mut BTreeMap<IpAddr, String>, address: IpAddr, error: &str) {
    if errors.insert(address, error.to_owned()).as_deref() != Some(error) {
        warn!(%address, error, "the address cannot be bound to the loopback interface, so it is not announced; is CAP_NET_ADMIN missing?");
    }
}
