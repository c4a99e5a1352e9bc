#!/usr/bin/env node
/* A scanner for classic hooks: refuses one word in subjects, marks everything else as seen.
 *
 *   hooks:
 *     - name: scanner
 *       url: http://127.0.0.1:8025/
 *       stages: [data]
 */
const http = require("http");

function decide(request) {
  const headers = request.message ? request.message.headers : [];
  for (const [name, value] of headers) {
    if (name.toLowerCase() === "subject" && value.toLowerCase().includes("lottery")) {
      return { action: "reject",
               response: { status: 554, enhanced_status: "5.7.1", message: "No lotteries here" } };
    }
  }
  return { action: "accept",
           modifications: [{ type: "addHeader", name: "X-Scanner", value: "seen" }] };
}

http.createServer((incoming, outgoing) => {
  const pieces = [];
  incoming.on("data", (piece) => pieces.push(piece));
  incoming.on("end", () => {
    const answer = JSON.stringify(decide(JSON.parse(Buffer.concat(pieces))));
    outgoing.writeHead(200, { "Content-Type": "application/json",
                              "Content-Length": Buffer.byteLength(answer) });
    outgoing.end(answer);
  });
}).listen(Number(process.argv[2] || 8025), "127.0.0.1");
