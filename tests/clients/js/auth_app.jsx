// A page with the original front end of `@convex-dev/auth`. auth_react.mjs controls it.
import { ConvexAuthProvider, useAuthActions } from "@convex-dev/auth/react";
import { ConvexReactClient, useConvexAuth, useMutation, useQuery } from "convex/react";
import { anyApi as api } from "convex/server";
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";

const url = new URLSearchParams(location.search).get("url");
const client = new ConvexReactClient(url, { unsavedChangesWarning: false });

function Session() {
  const { isLoading, isAuthenticated } = useConvexAuth();
  const { signIn, signOut } = useAuthActions();
  const [error, setError] = useState("");
  const viewer = useQuery(api.users.viewer, {});
  const notes = useQuery(api.users.notes, {});
  const addNote = useMutation(api.users.addNote);
  const attempt = (run) => async (event) => {
    event.preventDefault?.();
    setError("");
    await run(event).catch((error) => setError(error.message));
  };
  return (
    <>
      <p id="state">{isLoading ? "loading" : isAuthenticated ? "signed in" : "signed out"}</p>
      <p id="viewer">{JSON.stringify(viewer)}</p>
      <p id="notes">{JSON.stringify(notes)}</p>
      <p id="error">{error}</p>
      <form id="password" onSubmit={attempt((event) => signIn("password", new FormData(event.target, event.nativeEvent.submitter)))}>
        <input name="email" />
        <input name="password" />
        <button name="flow" value="signUp" id="sign-up" />
        <button name="flow" value="signIn" id="sign-in" />
      </form>
      <button id="anonymous" onClick={attempt(() => signIn("anonymous"))} />
      <button id="sign-out" onClick={attempt(() => signOut())} />
      <button id="note" onClick={attempt(() => addNote({ text: "a note" }))} />
    </>
  );
}

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <ConvexAuthProvider client={client}>
      <Session />
    </ConvexAuthProvider>
  </StrictMode>,
);
