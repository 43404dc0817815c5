use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::ApiError;

const REFUSAL_TIMEOUT: Duration = Duration::from_millis(500);

/// Refuses a connection over the limit of its client with a response of HTTP/1.
pub(crate) async fn refuse(mut tcp: TcpStream) {
    let body = ApiError::too_many_connections().to_json();
    let response = format!(
        "HTTP/1.1 503 Service Unavailable\r\n\
         content-type: application/json\r\n\
         content-length: {}\r\n\
         retry-after: 1\r\n\
         connection: close\r\n\
         \r\n\
         {body}",
        body.len()
    );
    let refuse = async {
        tcp.write_all(response.as_bytes()).await?;
        tcp.shutdown().await?;
        // Closing a socket with unread bytes would reset the connection before the client has read
        // the response.
        let mut discarded = [0; 4 << 10];
        while tcp.read(&mut discarded).await? > 0 {}
        std::io::Result::Ok(())
    };
    // The connection ends in each case, so the result does not matter.
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, refuse).await;
}
