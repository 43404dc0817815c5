use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::stream::ClientStream;

/// More than the largest body, so that a client which sends before it reads gets to its response.
const MAX_DISCARDED_BYTES: usize = 32 << 20;
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// The time that it may still take once the server shuts down.
const SHUTDOWN_LINGER_TIMEOUT: Duration = Duration::from_millis(500);

/// Ends a connection so that the client can still read the last response.
///
/// Closing a socket with unread bytes in it resets the connection. A client that is still sending, because it was
/// refused early, would see the reset and not the response. So the server ends its own direction and reads on a little.
pub(super) async fn close(mut stream: ClientStream, shutdown: &CancellationToken) {
    if stream.is_late() {
        return;
    }
    let drain = async {
        stream.shutdown().await?;
        let mut buffer = vec![0; 64 << 10];
        let mut left = MAX_DISCARDED_BYTES;
        while left > 0 {
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            left = left.saturating_sub(read);
        }
        std::io::Result::Ok(())
    };
    let shut_down = async {
        shutdown.cancelled().await;
        tokio::time::sleep(SHUTDOWN_LINGER_TIMEOUT).await;
    };
    // The connection ends, whether the client hangs up, fails or continues to send.
    tokio::select! {
        _ = drain => {}
        () = tokio::time::sleep(LINGER_TIMEOUT) => {}
        () = shut_down => {}
    }
}
