#!/usr/bin/env python3
"""A scanner for classic hooks: refuses one word in subjects, marks everything else as seen.

    hooks:
      - name: scanner
        url: http://127.0.0.1:8025/
        stages: [data]
"""
import http.server
import json
import sys


def decide(request):
    for name, value in request.get("message", {}).get("headers", []):
        if name.lower() == "subject" and "lottery" in value.lower():
            return {"action": "reject", "response": {
                "status": 554, "enhanced_status": "5.7.1", "message": "No lotteries here"}}
    return {"action": "accept", "modifications": [
        {"type": "addHeader", "name": "X-Scanner", "value": "seen"}]}


class Scanner(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection serves many messages
    wbufsize = -1  # head and body leave together: no 40 ms of waiting for an ACK

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps(decide(request)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


port = int(sys.argv[1]) if len(sys.argv) > 1 else 8025
http.server.ThreadingHTTPServer(("127.0.0.1", port), Scanner).serve_forever()
