//! The bound of every identifier that a client chooses and the server stores or keeps.
//!
//! | Identifier | Where it is stored or kept | Bound |
//! |---|---|---|
//! | `Connect.sessionId` | with each mutation, in `_session_requests` | a UUID, in its 36 canonical characters |
//! | request and query numbers | with each mutation, live query and call | 32 bits |
//! | function path | live queries, scheduled calls, cached results | 64 characters a part, 1,024 in all |
//! | `componentPath` | nowhere | must be empty |
//! | journal | its live query, the key of a cached result | the longest cursor, `MAX_CURSOR_BYTES` |
//! | `cursor`, `endCursor` | read sets, journals | `MAX_CURSOR_BYTES` |
//! | pagination `id` | the arguments | a number |
//! | user's token | its claims in the connection's identity | 64 KiB; at most 1,024 flattened claims |
//! | identity that an administrator acts as | the connection's identity | 64 KiB of JSON |
//! | admin key, upload token | nowhere: they are compared | the head of the request, or one message |
//! | `Convex-Request-Id` | the log, executions | 64 letters, digits and dashes |
//! | `Content-Type` of a file | `_storage` | 1,024 bytes |
//! | `Digest` of a file, the UUID in its URL | nowhere: they are compared | 32 bytes, 16 bytes |
//! | environment variable | `_environment_variables` | 256 characters, 8 KiB, 512 variables |
//! | `lastCloseReason`, `Convex-Client`, `Origin` | nowhere | one message, or the head of the request |
//!
//! Names of tables and indexes are the author's; in arguments they are looked up. Arguments have their own bound, 16
//! MiB. Where an error quotes what a client sent, it quotes a part: 64 KiB of a function's message, 1,000 bytes of the
//! protocol's.

use std::fs;
use std::path::Path;

use lentil_tests::{Packages, Server};

fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("the data folder can be read");
    let bytes = |path: &Path| match path.is_dir() {
        true => bytes_below(path),
        false => fs::metadata(path).map_or(0, |file| file.len()),
    };
    entries
        .map(|entry| bytes(&entry.expect("it can be read").path()))
        .sum()
}

#[test]
fn identifiers_over_their_bounds_are_rejected_and_not_stored() {
    let Some(js) = Packages::of_node("js") else {
        return;
    };
    let mut server = Server::testapp();
    let before = bytes_below(&server.data());
    js.run("identifiers.mjs", &[], &mut server);
    let grown = bytes_below(&server.data()) - before;
    // The shortest rejected identifier has this length. A stored one would make the log grow by more.
    assert!(
        grown < 2 << 20,
        "the data folder has grown by {grown} bytes"
    );
    let log = server.log();
    assert!(log.len() < 1 << 20, "the log has {} bytes", log.len());
}
