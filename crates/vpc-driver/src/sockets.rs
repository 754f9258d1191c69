//! Sockets made in the calling thread's namespace, to be used by any thread afterwards.
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt};

/// A listening socket, ready for a runtime.
pub(crate) fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A bound datagram socket, ready for a runtime.
pub(crate) fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A stream socket that is not connected yet: connecting uses the namespace in which the socket was made.
pub(crate) fn unconnected_tcp(to: SocketAddr) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket: OwnedFd = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
    Ok(TcpStream::from(socket))
}

/// The same bound to an address of the namespace. Its port is chosen when it connects, so that one port serves
/// connections to different places.
pub(crate) fn tcp_from(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let stream = unconnected_tcp(to)?;
    setsockopt(&stream, sockopt::IpBindAddressNoPort, &true)?;
    bind(stream.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(from, 0)))?;
    Ok(stream)
}

/// A datagram socket that is given what others sent to any address, and is told which (`IP_ORIGDSTADDR`).
pub(crate) fn transparent_udp(address: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = bind_transparent(address)?;
    setsockopt(&socket, sockopt::Ipv4OrigDstAddr, &true)?;
    Ok(UdpSocket::from(socket))
}

/// A datagram socket that speaks to `peer` as `address`, which is somebody else's.
pub(crate) fn connected_udp_as(address: SocketAddrV4, peer: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = UdpSocket::from(bind_transparent(address)?);
    socket.connect(peer)?;
    Ok(socket)
}

fn bind_transparent(address: SocketAddrV4) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket: OwnedFd = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    setsockopt(&socket, sockopt::IpTransparent, &true)?;
    // Several clients may speak to the same outside address: their sockets differ in the peer only.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &SockaddrIn::from(address))?;
    Ok(socket)
}
