//! Socket options of a connection, and the kernel's counters for it.

use tokio::net::TcpStream;

/// The most unsent bytes in the kernel. With a larger limit the server would notice a slow peer
/// late.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 128 << 10;

/// Sets the options of an accepted connection. They fail if the peer has hung up, which the first
/// read reports.
pub(super) fn prepare(stream: &TcpStream) {
    // Responses are small and awaited, so waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = nix::sys::socket::setsockopt(stream, linux::UnsentLimit, &UNSENT_BYTES);
}

/// Returns the number of bytes that the peer has acknowledged, or `None` if the system does not
/// report it.
pub(super) fn acknowledged(stream: &TcpStream) -> Option<u64> {
    #[cfg(target_os = "linux")]
    let info = nix::sys::socket::getsockopt(stream, linux::TcpInfo).ok();
    #[cfg(target_os = "linux")]
    return info.map(|info| info[linux::BYTES_ACKED]);
    #[cfg(not(target_os = "linux"))]
    return None;
}

#[cfg(target_os = "linux")]
mod linux {
    use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};

    /// The index of `tcpi_bytes_acked` among the eight-byte words of `struct tcp_info`. It is the
    /// same since Linux 4.1.
    pub(super) const BYTES_ACKED: usize = 15;

    sockopt_impl!(
        /// The beginning of `struct tcp_info`, which later kernels extend at its end.
        TcpInfo,
        GetOnly,
        libc::IPPROTO_TCP,
        libc::TCP_INFO,
        [u64; BYTES_ACKED + 1]
    );
    sockopt_impl!(
        /// The limit of unsent bytes in the kernel.
        UnsentLimit,
        SetOnly,
        libc::IPPROTO_TCP,
        libc::TCP_NOTSENT_LOWAT,
        u32
    );
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn acknowledged_bytes_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        let (mut client, mut server) = (client.unwrap(), server.unwrap().0);
        prepare(&server);
        let before = acknowledged(&server).unwrap();
        // The peer reads nothing, so the kernels accept some bytes and then no more.
        let chunk = vec![0; 1 << 20];
        let mut written = 0;
        let full = async {
            loop {
                written += server.write(&chunk).await.unwrap();
            }
        };
        let full = tokio::time::timeout(Duration::from_millis(300), full).await;
        assert!(full.is_err());
        let stalled = acknowledged(&server).unwrap();
        assert!(stalled - before < written as u64, "{stalled} of {written}");
        let mut read = vec![0; written];
        client.read_exact(&mut read).await.unwrap();
        while acknowledged(&server).unwrap() < before + written as u64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
