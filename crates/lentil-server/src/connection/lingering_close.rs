use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::stream::ClientStream;

/// More than the largest body, so that a client which sends before it reads receives its response.
const MAX_DISCARDED_BYTES: usize = 32 << 20;
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// The time that the client still has once the server shuts down.
const SHUTDOWN_LINGER_TIMEOUT: Duration = Duration::from_millis(500);

/// Closes a connection so that the client can still read the last response.
///
/// Closing a socket with unread bytes resets the connection. A client that is still sending,
/// because the server refused its request early, would see the reset instead of the response. So
/// the server shuts down its own direction, and reads and discards for a short time.
pub(super) async fn lingering_close(mut stream: ClientStream, shutdown: &CancellationToken) {
    // The connection of a late client is reset, so nothing can be sent any more.
    if stream.is_late() {
        return;
    }
    let discard = async {
        stream.shutdown().await?;
        let mut buffer = vec![0; 64 << 10];
        let mut discarded = 0;
        while discarded < MAX_DISCARDED_BYTES {
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            discarded += read;
        }
        std::io::Result::Ok(())
    };
    let shut_down = async {
        shutdown.cancelled().await;
        tokio::time::sleep(SHUTDOWN_LINGER_TIMEOUT).await;
    };
    // The connection ends in each case, so the result does not matter.
    tokio::select! {
        _ = discard => {}
        () = tokio::time::sleep(LINGER_TIMEOUT) => {}
        () = shut_down => {}
    }
}
