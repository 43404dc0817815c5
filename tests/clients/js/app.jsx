// A page that uses each of the React hooks. react.mjs controls it.
import { ConvexHttpClient } from "convex/browser";
import {
  ConvexProvider,
  ConvexReactClient,
  useAction,
  useConvexConnectionState,
  useMutation,
  usePaginatedQuery,
  useQuery,
} from "convex/react";
import { anyApi as api } from "convex/server";
import { Component, StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";

const parameters = new URLSearchParams(location.search);
const url = parameters.get("url");
const channel = parameters.get("channel");
const show = (value) => JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? `${inner}n` : inner));

function Messages() {
  const messages = useQuery(api.messages.list, { channel });
  const count = useQuery(api.messages.count, { channel });
  const [differed, setDiffered] = useState(false);
  const send = useMutation(api.messages.send).withOptimisticUpdate((local, { body }) => {
    const before = local.getQuery(api.messages.list, { channel }) ?? [];
    const message = { _id: `local ${before.length}`, _creationTime: 0, channel, body, n: before.length };
    local.setQuery(api.messages.list, { channel }, [...before, message]);
    local.setQuery(api.messages.count, { channel }, before.length + 1);
  });
  // Both results have one timestamp in every render.
  if (messages && count !== undefined && messages.length !== count && !differed) setDiffered(true);
  return (
    <section>
      <button id="send" onClick={() => send({ channel, body: `from ${parameters.get("name")}` })} />
      <p id="differed">{`${differed}`}</p>
      <p id="messages">{show(messages?.map(({ body, n }) => `${n} ${body}`))}</p>
      <p id="pending">{messages?.filter(({ _id }) => _id.startsWith("local")).length}</p>
    </section>
  );
}

function Pages() {
  const pages = usePaginatedQuery(api.messages.page, { channel: `${channel} pages` }, { initialNumItems: 5 });
  return (
    <section>
      <button id="more" onClick={() => pages.loadMore(5)} />
      <p id="status">{pages.status}</p>
      <p id="pages">{show(pages.results.map(({ n }) => n))}</p>
    </section>
  );
}

function Counter() {
  const name = `${channel} counter`;
  const [wanted, setWanted] = useState(false);
  const [returned, setReturned] = useState();
  const value = useQuery(api.counters.get, wanted ? { name } : "skip");
  const addTwice = useAction(api.counters.addTwice);
  return (
    <section>
      <button id="want" onClick={() => setWanted(!wanted)} />
      <button id="act" onClick={async () => setReturned(await addTwice({ name }))} />
      <p id="counter">{show(value)}</p>
      <p id="returned">{show(returned)}</p>
    </section>
  );
}

class Boundary extends Component {
  state = {};
  static getDerivedStateFromError = (error) => ({ error });
  render() {
    return this.state.error ? <p id="failed">{show(this.state.error.data)}</p> : this.props.children;
  }
}

const Failing = () => show(useQuery(api.fails.query.application, { data: { code: 7n } }));

// The page has another origin, so the responses need CORS headers.
function Http() {
  const [answers, setAnswers] = useState({});
  const ask = async () => {
    const client = new ConvexHttpClient(url, { logger: false });
    const value = await client.query(api.echo.query.any, { value: [1n, -0] });
    const malformed = await client.query("no-path:f", {}).catch((error) => error.message);
    client.setAuth("no token");
    const unauthorized = await client.query(api.echo.query.any, { value: 1 }).catch((error) => error.message);
    setAnswers({ value, malformed, unauthorized });
  };
  return (
    <section>
      <button id="ask" onClick={ask} />
      {Object.entries(answers).map(([name, answer]) => (
        <p id={name} key={name}>
          {show(answer)}
        </p>
      ))}
    </section>
  );
}

const Connection = () => <p id="connected">{`${useConvexConnectionState().isWebSocketConnected}`}</p>;

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <ConvexProvider client={new ConvexReactClient(url, { unsavedChangesWarning: false })}>
      <Connection />
      <Messages />
      <Pages />
      <Counter />
      <Boundary>
        <Failing />
      </Boundary>
      <Http />
    </ConvexProvider>
  </StrictMode>,
);
