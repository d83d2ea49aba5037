//! The netlink sockets: requests in batches, dumps read as they come, and the stream of events. Each has its own socket, so
//! that a flood of events neither delays nor loses an answer.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{FutureExt, StreamExt};
use netlink_packet_core::{ErrorBuffer, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_proto::ConnectionHandle;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use tokio::task::unconstrained;
use tokio::time::timeout;

use super::link::Link;
use super::netlink::{self, Address, Message, RTM_DELADDR, RTM_DELLINK, RTM_DELROUTE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE};
use super::plan::Outcome;
use super::{KernelRoute, Params};

/// Sends requests and maps every answer to its request.
pub(crate) struct Requester {
    handle: ConnectionHandle<RouteNetlinkMessage>,
    /// Our address on the netlink bus; the kernel puts it into the events that our own requests cause.
    port: u32,
    /// Messages sent so far. The connection numbers them from 1, and nobody else uses it.
    sent: u32,
}

impl Requester {
    pub fn open() -> io::Result<Self> {
        let (mut connection, handle, _) = netlink_proto::new_connection::<RouteNetlinkMessage>(NETLINK_ROUTE)?;
        // Without acks the end of a broken connection would look like success.
        connection.set_forward_ack(true);
        let port = connection.socket_mut().socket_mut().bind_auto()?.port_number();
        tokio::spawn(connection);
        Ok(Self { handle, port, sent: 0 })
    }

    pub const fn port(&self) -> u32 {
        self.port
    }

    /// Sends all of `messages` in one write and waits for their answers; one outcome a message, in order.
    ///
    /// # Errors
    /// The connection is gone; nothing was sent. Open a new one.
    pub async fn batch(&mut self, messages: Vec<Message>) -> io::Result<Vec<Outcome>> {
        let first = self.sent.wrapping_add(1);
        let mut outcomes = vec![Outcome::Unknown; messages.len()];
        self.sent = self.sent.wrapping_add(u32::try_from(messages.len()).unwrap_or(u32::MAX));
        let mut answers = self.handle.request_batch(messages, SocketAddr::new(0, 0)).map_err(io::Error::other)?;
        let collect = async {
            while let Some(answer) = answers.next().await {
                let NetlinkPayload::Error(error) = answer.payload else { continue };
                let at = answer.header.sequence_number.wrapping_sub(first);
                if let Some(outcome) = usize::try_from(at).ok().and_then(|at| outcomes.get_mut(at)) {
                    *outcome = error.code.map_or(Outcome::Done, |code| Outcome::Refused(code.get().abs()));
                }
            }
        };
        // The stream ends with the last answer. One that the kernel could not queue never comes.
        let _ = timeout(ANSWER_TIMEOUT, collect).await;
        Ok(outcomes)
    }
}

/// Asks for a dump and hands every message to `visit` (type and payload) as it is read. False when changes interrupted the
/// dump (NLM_F_DUMP_INTR): what came is true, but something may be missing.
///
/// # Errors
/// What the kernel answers, or that it answers nothing.
pub(crate) async fn dump(request: Message, visit: &mut (dyn FnMut(u16, &[u8]) + Send)) -> io::Result<bool> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    // Older kernels have no strict checking; they send everything and `visit` filters.
    let _ = socket.socket_mut().set_netlink_get_strict_chk(true);
    socket.socket_mut().bind_auto()?;
    let mut request = request;
    request.header.sequence_number = 1;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send_to(&bytes, &SocketAddr::new(0, 0)).await?;
    let mut complete = true;
    let mut buffer = BytesMut::with_capacity(DATAGRAM);
    loop {
        buffer.clear();
        buffer.reserve(DATAGRAM);
        timeout(ANSWER_TIMEOUT, socket.recv_from(&mut buffer)).await.map_err(io::Error::other)??;
        for message in Messages(&buffer) {
            complete &= message.flags & NLM_F_DUMP_INTR == 0;
            match message.kind {
                NLMSG_DONE => return Ok(complete),
                NLMSG_ERROR => return Err(refusal(message.payload)),
                kind => visit(kind, message.payload),
            }
        }
    }
}

fn refusal(payload: &[u8]) -> io::Error {
    match ErrorBuffer::new_checked(payload).ok().and_then(|e| e.code()) {
        Some(code) => io::Error::from_raw_os_error(code.get().abs()),
        None => io::Error::other("netlink acknowledged a dump without data"),
    }
}

/// What somebody else changed in the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    Link(Link),
    LinkGone(u32),
    Address(Address, bool),
    /// A route came (or replaced another one).
    Route(KernelRoute),
    RouteGone(KernelRoute),
    /// Events were lost.
    Overrun,
}

/// The event socket.
pub(crate) struct Events {
    socket: TokioSocket,
    buffer: BytesMut,
    filter: Filter,
    /// Events were lost and the queue has not been empty since. The kernel reports a loss once, and all further ones only
    /// after the queue was empty: what is read before that moment may miss changes that nothing reports.
    overrun: bool,
}

/// Which events are worth decoding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    /// The address of our own requests: what they cause is known.
    pub own_port: u32,
    pub tables: [u32; 2],
}

impl Filter {
    pub const fn new(own_port: u32, params: &Params) -> Self {
        Self { own_port, tables: [params.table, params.resolve_table] }
    }
}

impl Events {
    pub fn open(filter: Filter) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        let raw = socket.socket_mut();
        raw.set_rx_buf_sz(RECEIVE_BUFFER)?;
        raw.bind(&SocketAddr::new(0, GROUPS))?;
        Ok(Self { socket, buffer: BytesMut::with_capacity(DATAGRAM), filter, overrun: false })
    }

    /// The changes of the next datagram that has any. Cancel-safe.
    ///
    /// # Errors
    /// The socket is broken.
    pub async fn next(&mut self) -> io::Result<Vec<Change>> {
        loop {
            self.buffer.clear();
            self.buffer.reserve(DATAGRAM);
            let receive = self.socket.recv_from(&mut self.buffer);
            let received = if self.overrun { unconstrained(receive).now_or_never() } else { Some(receive.await) };
            match received {
                Some(Ok(_)) => {}
                Some(Err(e)) if e.raw_os_error() == Some(ENOBUFS) => {
                    self.overrun = true;
                    return Ok(vec![Change::Overrun]);
                }
                Some(Err(e)) => return Err(e),
                None => {
                    self.overrun = false;
                    return Ok(vec![Change::Overrun]);
                }
            }
            let filter = self.filter;
            let changes: Vec<Change> = Messages(&self.buffer).filter_map(|m| filter.decode(&m)).collect();
            if !changes.is_empty() {
                return Ok(changes);
            }
        }
    }
}

impl Filter {
    fn decode(&self, message: &Raw<'_>) -> Option<Change> {
        match message.kind {
            RTM_NEWLINK => netlink::decode_link(message.payload).map(Change::Link),
            RTM_DELLINK => netlink::decode_link(message.payload).map(|link| Change::LinkGone(link.index)),
            RTM_NEWADDR => netlink::decode_address(message.payload).map(|a| Change::Address(a, true)),
            RTM_DELADDR => netlink::decode_address(message.payload).map(|a| Change::Address(a, false)),
            RTM_NEWROUTE => self.decode_route(message).map(Change::Route),
            RTM_DELROUTE => self.decode_route(message).map(Change::RouteGone),
            _ => None,
        }
    }

    fn decode_route(&self, message: &Raw<'_>) -> Option<KernelRoute> {
        if message.port == self.own_port {
            return None;
        }
        let (table, _) = netlink::peek_route(message.payload)?;
        if table.is_some_and(|t| !self.tables.contains(&t)) {
            return None;
        }
        netlink::decode_route(message.payload).filter(|route| self.tables.contains(&route.table))
    }
}

/// One message of a datagram.
struct Raw<'a> {
    kind: u16,
    flags: u16,
    port: u32,
    payload: &'a [u8],
}

/// The messages of a datagram, aligned to four octets; ends at the first one that is cut short.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Raw<'a>> {
        let datagram = self.0;
        let header = NetlinkBuffer::new_checked(datagram).ok()?;
        let length = header.length() as usize;
        self.0 = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Raw { kind: header.message_type(), flags: header.flags(), port: header.port_number(), payload: datagram.get(16..length)? })
    }
}

const ENOBUFS: i32 = 105;
/// The kernel never sends more in one datagram.
const DATAGRAM: usize = 64 * 1024;
/// Asked for; the kernel gives up to net.core.rmem_max. More only delays the overrun, which is handled anyway.
const RECEIVE_BUFFER: i32 = 8 << 20;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Links, addresses and routes of both families (RTMGRP_*).
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
