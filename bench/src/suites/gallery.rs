//! The app gallery and file storage: publishing with a screenshot, listing, uploads and downloads,
//! compared with a plain file server over hyper.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::contenders::cores::Cores;
use crate::contenders::server::{Server, clonk, own, testapp};
use crate::load::clients::{ClientStats, Clients};
use crate::load::jobs::KEY;
use crate::load::jobs::mix;
use crate::report::results::{Figure, Settings};

const SCREENSHOT: usize = 200_000;
const LARGE: usize = 8 << 20;
const APPS: u64 = 100_000;
const PAGE: usize = 50;
/// The number of reads of a changed first page. It is not a multiple of the page size, so that
/// later pages differ too.
const PUBLISHED: u64 = 103;
/// The number of pages that are read one after another.
const PAGES: usize = 200;

/// Measures the gallery and its files.
pub(crate) fn gallery(cores: Cores, folder: &Path, settings: Settings) -> Vec<Figure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a Tokio runtime starts");
    let moment = Duration::from_secs_f64(settings.seconds);
    runtime.block_on(async {
        let mut files = Files::start(cores, folder).await;
        let mut figures = files.measure(settings.rounds, moment).await;
        figures.extend(publish(cores, folder, settings.rounds, moment).await);
        figures.extend(list(cores, folder, settings.rounds, moment).await);
        figures
    })
}

type Asking = Request<Full<Bytes>>;

fn request(method: &str, target: &str, body: Bytes) -> Asking {
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "bench");
    request
        .body(Full::new(body))
        .expect("the parts make a request")
}

fn call(verb: &str, path: &str, args: &Value) -> Asking {
    let body = json!({"path": path, "args": args, "format": "json"}).to_string();
    let mut request = request("POST", &format!("/api/{verb}"), body.into());
    request.headers_mut().insert(
        "content-type",
        "application/json".parse().expect("it is a header"),
    );
    request
}

/// Returns the result of a function.
fn value(response: &[u8]) -> Value {
    let response: Value = serde_json::from_slice(response).expect("the API responds with JSON");
    assert_eq!(response["status"], "success", "{response}");
    response["value"].clone()
}

/// Returns the path of a URL of the API.
fn path(url: &Value) -> String {
    let url = url.as_str().expect("it is a URL");
    url[url.find("/api/").expect("it is one of the API")..].to_owned()
}

/// Returns unique bytes with the header of a PNG.
fn picture(length: usize, number: u64) -> Bytes {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let words = (0..).flat_map(|at: u64| mix(at ^ (number << 32)).to_le_bytes());
    bytes.extend(words.take(length - bytes.len()));
    bytes.into()
}

/// `testapp`, whose clients may upload, and the plain file server.
struct Files {
    ours: Server,
    plain: Server,
    next: u64,
}

/// The paths of a file that both servers have.
struct Known {
    ours: String,
    plain: String,
}

impl Files {
    async fn start(cores: Cores, folder: &Path) -> Files {
        let mut plain = own("serve-files");
        plain.arg(folder.join("plain-files"));
        Files {
            ours: Server::start(testapp(&folder.join("files")), cores),
            plain: Server::start(plain, cores),
            next: 0,
        }
    }

    async fn measure(&mut self, rounds: usize, moment: Duration) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (length, connections, what) in [(SCREENSHOT, 16, "200 kB @16"), (LARGE, 4, "8 MiB @4")]
        {
            let known = self.put(length).await;
            let (mut down, mut up) = (Compared::default(), Compared::default());
            for _ in 0..rounds {
                let ours = get(&self.ours, &known.ours, connections, moment).await;
                down.add(
                    &ours,
                    &get(&self.plain, &known.plain, connections, moment).await,
                    length,
                );
                let ours = self.upload(length, connections, moment).await;
                up.add(
                    &ours,
                    &self.upload_plainly(length, connections, moment).await,
                    length,
                );
            }
            figures.extend(down.figures(&format!("download of {what}")));
            figures.extend(up.figures(&format!("upload of {what}")));
        }
        figures
    }

    /// Returns different blobs, because an existing blob is not written again.
    fn pictures(&mut self, length: usize) -> impl Iterator<Item = (u64, Bytes)> {
        let first = picture(length, 0);
        std::iter::from_fn(move || {
            self.next += 1;
            let mut bytes = first.to_vec();
            bytes[8..16].copy_from_slice(&self.next.to_le_bytes());
            Some((self.next, bytes.into()))
        })
    }

    /// Stores a file on both servers.
    async fn put(&mut self, length: usize) -> Known {
        let content = picture(length, u64::from(u32::MAX));
        let mut plain = Clients::connect(self.plain.address, 1).await;
        plain
            .send_one(request("PUT", "/known", content.clone()))
            .await;
        let mut ours = Clients::connect(self.ours.address, 1).await;
        let url = ours
            .send_one(call("mutation", "files:uploadUrl", &json!({})))
            .await;
        let stored = ours
            .send_one(request("POST", &path(&value(&url)), content))
            .await;
        let stored: Value =
            serde_json::from_slice(&stored).expect("the response of an upload is JSON");
        let url = ours
            .send_one(call(
                "query",
                "files:url",
                &json!({"id": stored["storageId"]}),
            ))
            .await;
        Known {
            ours: path(&value(&url)),
            plain: "/known".to_owned(),
        }
    }

    async fn upload(&mut self, length: usize, connections: usize, moment: Duration) -> ClientStats {
        let mut clients = Clients::connect(self.ours.address, connections).await;
        let url = path(&value(
            &clients
                .send_one(call("mutation", "files:uploadUrl", &json!({})))
                .await,
        ));
        clients
            .drive(
                moment,
                self.pictures(length)
                    .map(|(_, bytes)| request("POST", &url, bytes)),
            )
            .await
    }

    async fn upload_plainly(
        &mut self,
        length: usize,
        connections: usize,
        moment: Duration,
    ) -> ClientStats {
        let mut clients = Clients::connect(self.plain.address, connections).await;
        let requests = self
            .pictures(length)
            .map(|(number, bytes)| request("PUT", &format!("/{number}"), bytes));
        clients.drive(moment, requests).await
    }
}

async fn get(server: &Server, path: &str, connections: usize, moment: Duration) -> ClientStats {
    let mut clients = Clients::connect(server.address, connections).await;
    clients
        .drive(
            moment,
            std::iter::repeat_with(|| request("GET", path, Bytes::new())),
        )
        .await
}

/// The throughput of both servers in megabytes a second, and the ratio, for each round.
#[derive(Default)]
struct Compared {
    ours: Vec<f64>,
    plain: Vec<f64>,
    ratios: Vec<f64>,
}

impl Compared {
    fn add(&mut self, ours: &ClientStats, plain: &ClientStats, length: usize) {
        let [ours, plain] = [ours, plain].map(|asked| asked.per_second() * length as f64 / 1e6);
        self.ours.push(ours);
        self.plain.push(plain);
        self.ratios.push(ours / plain);
    }

    fn figures(self, what: &str) -> [Figure; 3] {
        [
            Figure::new(what, " MB/s", self.ours),
            Figure::new(&format!("{what}, plain file server"), " MB/s", self.plain),
            Figure::new(&format!("{what}: ours / plain"), "", self.ratios),
        ]
    }
}

fn publishing(number: u64, screenshot: Bytes) -> Asking {
    let target = format!(
        "/api/publish?appName=Bird+counter+{number}&description=Counts+the+birds+in+my+garden&username=ada\
         &vercelUrl=https%3A%2F%2Fbirds.example.com&githubUrl=https%3A%2F%2Fgithub.com%2Fada%2Fbirds"
    );
    let mut request = request("POST", &target, screenshot);
    let headers = request.headers_mut();
    headers.insert(
        "authorization",
        format!("Bearer {KEY}").parse().expect("it is a header"),
    );
    headers.insert("content-type", "image/png".parse().expect("it is a header"));
    request
}

async fn publish(cores: Cores, folder: &Path, rounds: usize, moment: Duration) -> Vec<Figure> {
    let server = Server::start(clonk(&folder.join("publish")), cores);
    let (mut figures, mut next) = (Vec::new(), 0..);
    for connections in [1, 16] {
        let mut clients = Clients::connect(server.address, connections).await;
        let mut rates = Vec::new();
        for _ in 0..rounds {
            let requests = next
                .by_ref()
                .map(|number| publishing(number, picture(SCREENSHOT, number)));
            rates.push(clients.drive(moment, requests).await.per_second());
        }
        figures.push(Figure::new(
            &format!("publish with a screenshot of 200 kB @{connections}: a second"),
            "",
            rates,
        ));
    }
    figures
}

/// Makes the request for a page of the gallery.
fn page(cursor: &Value) -> Asking {
    call(
        "query",
        "apps:list",
        &json!({"paginationOpts": {"numItems": PAGE, "cursor": cursor}}),
    )
}

async fn list(cores: Cores, folder: &Path, rounds: usize, moment: Duration) -> Vec<Figure> {
    let server = Server::start(clonk(&folder.join("list")), cores);
    let mut clients = Clients::connect(server.address, 16).await;
    let filled = clients
        .drive(
            Duration::MAX,
            (0..APPS).map(|number| publishing(number, Bytes::new())),
        )
        .await;
    assert_eq!(filled.latency.len(), APPS, "the apps are published");
    let (mut again, mut after, mut walked) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let asked = clients
            .drive(moment, std::iter::repeat_with(|| page(&Value::Null)))
            .await;
        again.push(asked.per_second());
        after.push(after_each_publish(&mut clients, APPS + PUBLISHED * round as u64).await);
        walked.push(walk(&mut clients).await);
    }
    vec![
        Figure::new(
            "publish without a screenshot @16: a second",
            "",
            vec![filled.per_second()],
        ),
        Figure::new(
            "list of 50 from 100,000 apps, the same page @16: a second",
            "",
            again,
        ),
        Figure::new(
            "list of 50 from 100,000 apps, each time after a publish: p50",
            " ms",
            after,
        ),
        Figure::new(
            "list of 50 from 100,000 apps, page after page: p50",
            " ms",
            walked,
        ),
    ]
}

/// Measures reads of a first page that a publish has just changed.
async fn after_each_publish(clients: &mut Clients, first: u64) -> f64 {
    let mut asked = crate::load::drive::histogram();
    for number in first..first + PUBLISHED {
        clients.send_one(publishing(number, Bytes::new())).await;
        let began = std::time::Instant::now();
        clients.send_one(page(&Value::Null)).await;
        asked.saturating_record(began.elapsed().as_nanos() as u64);
    }
    asked.value_at_quantile(0.5) as f64 / 1e6
}

/// Measures reads of pages that are not cached.
async fn walk(clients: &mut Clients) -> f64 {
    let (mut asked, mut cursor) = (crate::load::drive::histogram(), Value::Null);
    for _ in 0..PAGES {
        let began = std::time::Instant::now();
        let response = clients.send_one(page(&cursor)).await;
        asked.saturating_record(began.elapsed().as_nanos() as u64);
        let list = value(&response);
        assert_eq!(list["page"].as_array().map(Vec::len), Some(PAGE));
        cursor = list["continueCursor"].clone();
    }
    asked.value_at_quantile(0.5) as f64 / 1e6
}
