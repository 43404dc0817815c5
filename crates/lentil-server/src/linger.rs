use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More than the largest body, so that a client which sends before it reads gets to its answer.
const MAX_BYTES: usize = 32 << 20;
const MAX_TIME: Duration = Duration::from_secs(2);

/// Ends a connection so that the client can still read the last answer.
///
/// To close a socket with unread bytes in it resets the connection, and a client that is still sending, because it
/// was refused early, would see the reset and not the answer. So: say that nothing more comes, and read on a little.
pub(crate) async fn close(mut stream: TcpStream) {
    let drain = async {
        stream.shutdown().await?;
        let mut buffer = vec![0; 64 << 10];
        let mut left = MAX_BYTES;
        while left > 0 {
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            left = left.saturating_sub(read);
        }
        std::io::Result::Ok(())
    };
    // Whether the client hung up or drips on, the connection is over.
    let _ = tokio::time::timeout(MAX_TIME, drain).await;
}
