//! A venue that sends when it is due: the server's end of WebSockets on loopback, plain or TLS.

use std::hint::spin_loop;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use reap_core::units::Nanos;
use reap_shell::clock::{LiveClock, rest};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use rustls::{Stream, StreamOwned};
use tungstenite::handshake::derive_accept_key;

/// What TLS 1.3 adds to each record: its header, the inner type, the tag.
const RECORD_EXTRA: usize = 5 + 1 + 16;
const PATIENCE: Duration = Duration::from_secs(10);

/// Where connections come in.
pub(super) struct Venue {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
}

/// The venue's end of one connection.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Venue {
    pub(super) fn open(tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, tls })
    }

    pub(super) fn port(&self) -> io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Takes a connection and upgrades it.
    pub(super) fn accept(&self) -> io::Result<Wire> {
        let (socket, _) = self.listener.accept()?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut wire = match &self.tls {
            None => Wire::Plain(socket),
            Some(config) => {
                let tls = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                Wire::Tls(Box::new(StreamOwned::new(tls, socket)))
            }
        };
        let head = head(&mut wire)?;
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
        });
        let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        wire.send(answer.as_bytes())?;
        Ok(wire)
    }

    /// Takes the product's connections, answers what they subscribe to, and gives the one that is to
    /// bring quotes first.
    pub(super) fn accept_lines(&self, count: usize) -> io::Result<Vec<Wire>> {
        let mut wires = Vec::new();
        for _ in 0..count {
            let mut wire = self.accept()?;
            let asked = wire.receive()?;
            let id: String = asked
                .rsplit_once("\"id\":")
                .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect())
                .unwrap_or_default();
            wire.send(&frame(format!("{{\"result\":null,\"id\":{id}}}").as_bytes()))?;
            let at = if asked.contains("bookTicker") { 0 } else { wires.len() };
            wires.insert(at, wire);
        }
        Ok(wires)
    }

    /// The bare reader's connection, both ends: a socket that only needs `read`, and how many of its
    /// bytes a frame of `len` bytes takes.
    pub(super) fn bare(&self, root: &[u8], len: usize) -> io::Result<(TcpStream, Wire, usize)> {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port()?))?;
        socket.set_nodelay(true)?;
        let request = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\
                       Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let (wire, len) = std::thread::scope(|scope| {
            let wire = scope.spawn(|| self.accept());
            let len = if self.tls.is_some() {
                let mut tls = client(root)?;
                let mut stream = Stream::new(&mut tls, &mut socket);
                stream.write_all(request.as_bytes())?;
                head(&mut stream)?;
                // From here on nobody decrypts: it counts bytes.
                len + RECORD_EXTRA
            } else {
                socket.write_all(request.as_bytes())?;
                head(&mut socket)?;
                len
            };
            let wire = wire.join().map_err(|_| io::Error::other("the venue's thread ended"))??;
            io::Result::Ok((wire, len))
        })?;
        socket.set_nonblocking(true)?;
        Ok((socket, wire, len))
    }
}

fn client(root: &[u8]) -> io::Result<ClientConnection> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(root).map_err(io::Error::other)?;
    roots.add(root).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
    ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)
}

/// An HTTP head, byte by byte: what follows it stays in the socket.
fn head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    String::from_utf8(head).map_err(io::Error::other)
}

/// A server's text frame.
pub(super) fn frame(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(short) if short < 126 => frame.push(short),
        _ => {
            let len = u16::try_from(text.len()).expect("frames here are short");
            frame.push(126);
            frame.extend(len.to_be_bytes());
        }
    }
    frame.extend(text);
    frame
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Wire {
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes),
            Self::Tls(stream) => {
                stream.write_all(bytes)?;
                stream.flush()
            }
        }
    }

    /// A client's text frame.
    fn receive(&mut self) -> io::Result<String> {
        let mut short = [0; 2];
        self.read_exact(&mut short)?;
        let mut len = usize::from(short[1] & 0x7f);
        if len == 126 {
            let mut long = [0; 2];
            self.read_exact(&mut long)?;
            len = usize::from(u16::from_be_bytes(long));
        }
        let mut mask = [0; 4];
        self.read_exact(&mut mask)?;
        let mut text = vec![0; len];
        self.read_exact(&mut text)?;
        text.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        String::from_utf8(text).map_err(io::Error::other)
    }
}

/// How frames are sent.
pub(super) struct Schedule<'c> {
    pub(super) clock: &'c LiveClock,
    /// When the first is due; real time of the clock.
    pub(super) start: u64,
    /// From one to the next.
    pub(super) interval: u64,
    /// Waits by spinning, or in the kernel: where others need the core.
    pub(super) spins: bool,
}

impl Schedule<'_> {
    pub(super) fn due(&self, at: usize) -> u64 {
        self.start + at as u64 * self.interval
    }

    /// Sends each frame when it is due; what is late is not waited for, and nothing is left out.
    /// `after` is called behind each. Gives when each write began.
    pub(super) fn send(
        &self,
        wire: &mut Wire,
        frames: &[Vec<u8>],
        mut after: impl FnMut(),
    ) -> io::Result<Vec<u64>> {
        let mut written = Vec::with_capacity(frames.len());
        for (at, frame) in frames.iter().enumerate() {
            let due = self.due(at);
            loop {
                let left = due.saturating_sub(self.clock.real());
                if left == 0 {
                    break;
                }
                if self.spins {
                    spin_loop();
                } else {
                    rest(Duration::from_nanos(Nanos(left).0));
                }
            }
            written.push(self.clock.real());
            wire.send(frame)?;
            after();
        }
        Ok(written)
    }
}
