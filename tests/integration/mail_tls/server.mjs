// A real SMTP server (npm's smtp-server) that insists on encryption and a login, and prints each mail as a line of JSON.
//   node server.mjs NODE_MODULES KEY CERTIFICATE starttls|tls
// The first line is the port. Ends with its standard input.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, key, certificate, way] = process.argv.slice(2);
const { SMTPServer } = createRequire(`${modules}/`)("smtp-server");

const server = new SMTPServer({
  secure: way === "tls",
  key: readFileSync(key),
  cert: readFileSync(certificate),
  authMethods: ["PLAIN", "LOGIN"],
  // Without TLS smtp-server refuses a login, so that an accepted mail came encrypted.
  allowInsecureAuth: false,
  onAuth({ username, password }, _session, done) {
    done(username === "ethmon" && password === "s3cret" ? null : new Error("wrong password"), { user: username });
  },
  onData(stream, session, done) {
    let text = "";
    stream.on("data", (chunk) => (text += chunk));
    stream.on("end", () => {
      const { rcptTo } = session.envelope;
      console.log(JSON.stringify({ secure: session.secure, user: session.user, to: rcptTo.map((to) => to.address), text }));
      done();
    });
  },
});
// A client that trusts nobody hangs up in the handshake: no reason to end.
server.on("error", (error) => console.error(error.message));
server.listen(0, "127.0.0.1", () => console.log(server.server.address().port));
process.stdin.resume().on("end", () => process.exit());
