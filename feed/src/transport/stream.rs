//! A non-blocking byte stream, plain or TLS, that counts what passes.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::net::TcpStream;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::Counters;
use super::error::{ConnectError, Stage, TlsFault};
use super::trust::Trust;

/// Socket reads that may bring no plaintext before the owner gets a turn: a peer that sends empty
/// records for ever must not hold the thread.
const BARREN_READS_MAX: u32 = 32;

/// Most encrypted bytes that wait in the TLS library; what is beyond waits above, where it is bounded.
const TLS_BUFFER: usize = 64 * 1024;

/// The stream.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    peer: SocketAddr,
    tls: Option<Box<ClientConnection>>,
    /// Why TLS is over; told after the plaintext before it was read.
    fault: Option<TlsFault>,
    /// Bytes are counted here, the rest by the owner.
    pub(super) counters: Counters,
}

impl Stream {
    /// A connected socket, without TLS yet.
    pub(super) fn new(socket: TcpStream, peer: SocketAddr) -> Self {
        Self { socket, peer, tls: None, fault: None, counters: Counters::default() }
    }

    /// Begins TLS: `handshake` does the work.
    pub(super) fn start_tls(&mut self, host: &str, trust: &Trust) -> Result<(), ConnectError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| ConnectError::Name { host: host.to_owned() })?;
        let mut tls = ClientConnection::new(trust.config(), name)
            .map_err(|error| ConnectError::Tls(TlsFault::from(&error)))?;
        tls.set_buffer_limit(Some(TLS_BUFFER));
        self.tls = Some(Box::new(tls));
        Ok(())
    }

    /// Moves the TLS handshake on as far as it goes without blocking; true when it is done.
    pub(super) fn handshake(&mut self) -> Result<bool, ConnectError> {
        let Self { socket, tls: Some(tls), counters, .. } = self else { return Ok(true) };
        let mut metered = Metered { socket, counters };
        let lost = |_| ConnectError::Gone { stage: Stage::Tls };
        for _ in 0..BARREN_READS_MAX {
            while tls.wants_write() {
                match tls.write_tls(&mut metered) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(lost(error)),
                }
            }
            if !tls.is_handshaking() {
                return Ok(!tls.wants_write());
            }
            match tls.read_tls(&mut metered) {
                Ok(0) => return Err(ConnectError::Gone { stage: Stage::Tls }),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(lost(error)),
            }
            if let Err(error) = tls.process_new_packets() {
                let _ = tls.write_tls(&mut metered); // the alert, if it leaves
                return Err(ConnectError::Tls(TlsFault::from(&error)));
            }
        }
        Ok(false)
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Why TLS ended, if it did.
    pub(super) fn fault(&self) -> Option<TlsFault> {
        self.fault
    }

    /// Whether encrypted bytes wait for the socket.
    pub(super) fn is_pending(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Says that nothing follows, as far as that goes without blocking.
    pub(super) fn end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        if self.drain().is_ok() {
            let _ = self.socket.shutdown(Shutdown::Write);
        }
    }

    /// Hands encrypted bytes to the socket until none are left or it would block.
    fn drain(&mut self) -> io::Result<()> {
        let Self { socket, tls: Some(tls), counters, .. } = self else { return Ok(()) };
        while tls.wants_write() {
            if tls.write_tls(&mut Metered { socket, counters })? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self { socket, tls, counters, fault, .. } = self;
        let mut metered = Metered { socket, counters };
        let Some(tls) = tls else { return metered.read(buffer) };
        for _ in 0..BARREN_READS_MAX {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            if fault.is_some() {
                return Err(ErrorKind::InvalidData.into());
            }
            tls.read_tls(&mut metered)?;
            if let Err(error) = tls.process_new_packets() {
                *fault = Some(match TlsFault::from(&error) {
                    TlsFault::NotTls => TlsFault::Corrupt, // the handshake was TLS
                    fault => fault,
                });
            }
            if tls.wants_write() {
                let _ = tls.write_tls(&mut metered); // an alert or a key update; flushed again later
            }
        }
        // Not drained and nothing to show: the owner comes back without waiting for an event.
        Err(ErrorKind::Interrupted.into())
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.tls.is_none() {
            let Self { socket, counters, .. } = self;
            return Metered { socket, counters }.write(bytes);
        }
        self.drain()?; // would block: the bytes stay with the caller, whose buffer is bounded
        let Some(tls) = &mut self.tls else { return Err(ErrorKind::NotConnected.into()) };
        let taken = tls.writer().write(bytes)?;
        if taken == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        match self.drain() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.drain()
    }
}

/// The socket, with its bytes counted.
struct Metered<'s> {
    socket: &'s mut TcpStream,
    counters: &'s mut Counters,
}

impl Metered<'_> {
    fn wrote(&mut self, asked: usize, written: io::Result<usize>) -> io::Result<usize> {
        let taken = *written.as_ref().unwrap_or(&0);
        self.counters.bytes_out += taken as u64;
        self.counters.partial_writes += u64::from(taken < asked);
        written
    }
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.socket.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(count) => {
                    self.counters.bytes_in += count as u64;
                    return Ok(count);
                }
                error => return error,
            }
        }
    }
}

impl Write for Metered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.socket.write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                written => return self.wrote(bytes.len(), written),
            }
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match self.socket.write_vectored(slices) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                written => {
                    return self.wrote(slices.iter().map(|slice| slice.len()).sum(), written);
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
