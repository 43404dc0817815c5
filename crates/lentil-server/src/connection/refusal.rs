use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::ApiError;

const REFUSAL_TIMEOUT: Duration = Duration::from_millis(500);

/// Refuses a connection whose client has its share, in a way that HTTP/1 clients understand.
pub(crate) async fn refuse(mut tcp: TcpStream) {
    let body = ApiError::too_many_connections().to_json();
    let response = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let refused = async {
        tcp.write_all(response.as_bytes()).await?;
        tcp.shutdown().await?;
        // Closing it with an unread request in it would reset the connection before the client has read the response.
        let mut discarded = [0; 4 << 10];
        while tcp.read(&mut discarded).await? > 0 {}
        std::io::Result::Ok(())
    };
    // The connection ends, whether or not the client has read the response.
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, refused).await;
}
