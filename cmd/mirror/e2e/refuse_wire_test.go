//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestNobodyPassesForThisMachine: as long as there are no users, only this machine may push. What a request says of where it
// comes from counts against it and never for it.
func TestNobodyPassesForThisMachine(t *testing.T) {
	v := &victim{startMirror(t, "--offline"), "", map[string]string{}}
	v.image(t, "OURS", "", "team/app", "v1", "what is ours")
	before := v.holdings(t)
	var attempts []attempt
	for _, header := range []string{
		"X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: ::1", "X-Forwarded-For: 127.0.0.1, 10.0.0.9", "x-forwarded-for:", "X-Forwarded-Host: localhost", "X-Forwarded-Proto: http",
		"X-Forwarded: for=127.0.0.1", "X-Real-IP: 127.0.0.1", "x-real-ip: 127.0.0.1", "Forwarded: for=127.0.0.1", "Forwarded: for=_hidden", "Via: 1.1 localhost", "X-Client-IP: 127.0.0.1",
		"X-Cluster-Client-IP: 127.0.0.1", "True-Client-IP: 127.0.0.1", "CF-Connecting-IP: 127.0.0.1", "X-Original-Forwarded-For: 127.0.0.1", "X-Envoy-External-Address: 127.0.0.1",
		"Origin: http://localhost:5000", "Origin: null",
	} {
		refusal := "403 forwarded by a proxy"
		if strings.HasPrefix(header, "Origin:") {
			refusal = "403 a page of another site"
		}
		for _, request := range []string{"PUT /v2/team/app/manifests/v2", "DELETE /v2/team/app/manifests/v1", "POST /v2/team/app/blobs/uploads/"} {
			attempts = append(attempts, attempt{request + " " + header, "", request, []string{header}, "", refusal})
		}
	}
	v.refuses(t, append(attempts,
		attempt{"HTTP/1.0, as proxies speak it", "", "DELETE /v2/team/app/manifests/v1 HTTP/1.0", nil, "", "403 forwarded by a proxy"},
		attempt{"a header twice", "", "DELETE /v2/team/app/manifests/v1", []string{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 127.0.0.1"}, "", "403 forwarded by a proxy"},
		attempt{"a folded header", "", "DELETE /v2/team/app/manifests/v1", []string{"X-Forwarded-For:", " 127.0.0.1"}, "", "403 forwarded by a proxy"},
		attempt{"another method in a header", "", "GET /v2/team/app/manifests/v9", []string{"X-HTTP-Method-Override: DELETE"}, "", "404 MANIFEST_UNKNOWN"},
		attempt{"another path in a header", "", "GET /v2/team/app/manifests/v9", []string{"X-Original-URL: /v2/team/app/manifests/v1", "X-Rewrite-URL: /v2/team/app/manifests/v1"}, "", "404 MANIFEST_UNKNOWN"},
		attempt{"another host", "", "DELETE /v2/team/app/manifests/v9", []string{"Host: evil.example"}, "", "403 only clients on its own machine"},
	))
	v.wantSame(t, before)
}

// TestRequestsThatAreTwo: where one request ends and the next begins is seen as any proxy in front would see it, or the
// connection is closed. Each conversation tries to have alice's tag deleted, by who may or may not.
func TestRequestsThatAreTwo(t *testing.T) {
	v := startVictim(t)
	before := v.holdings(t)
	v.stands["ALICE"], v.stands["BOB"] = basicAuth("alice"), basicAuth("bob")
	const (
		deletes = "DELETE /v2/alice/app/manifests/v1 HTTP/1.1\nHost: HOST\nAuthorization: ALICE\n\n"
		upload  = "POST /v2/bob/app/blobs/uploads/?digest=NOTHING HTTP/1.1\nHost: HOST\nAuthorization: BOB\n"
		via     = "X-Forwarded-For: 10.0.0.9\n"
		ping    = "GET /v2/ HTTP/1.1\nHost: HOST\nAuthorization: BOB\n"
	)
	crlf := func(s string) int {
		return len(v.expand(strings.ReplaceAll(strings.ReplaceAll(s, "\n", "\r\n"), "HOST", v.addr)))
	}
	hidden := crlf(deletes)
	v.speaks(t, []exchanges{
		{"a request in a body", upload + fmt.Sprintf("Content-Length: %d\n\n%s", hidden, deletes), "400 200"},
		{"a request in the body of one that is refused", strings.Replace(upload, "/bob/", "/alice/", 1) + fmt.Sprintf("Content-Length: %d\n\n%s", hidden, deletes), "403 200"},
		{"a request in a body that nobody expects", ping + fmt.Sprintf("Content-Length: %d\n\n%s", hidden, deletes), "200 200"},
		{"a request in the body of a head", strings.Replace(ping, "GET", "HEAD", 1) + fmt.Sprintf("Content-Length: %d\n\n%s", hidden, deletes), "200 200"},
		{"a request in a chunk", upload + fmt.Sprintf("Transfer-Encoding: chunked\n\n%x\n%s\n0\n\n", hidden, deletes), "400 200"},
		{"a length and chunks, passed on", upload + via + fmt.Sprintf("Content-Length: %d\nTransfer-Encoding: chunked\n\n0\n\n%s", hidden+5, deletes), "400"},
		{"chunks and a length, passed on", upload + via + fmt.Sprintf("Transfer-Encoding: chunked\nContent-Length: 4\n\n%x\n%s\n0\n\n", hidden, deletes), "400"},
		{"a length and chunks of a client's own", upload + fmt.Sprintf("Content-Length: 4\nTransfer-Encoding: chunked\n\n%x\n%s\n0\n\n", hidden, deletes), "400 200"},
		{"two lengths", upload + fmt.Sprintf("Content-Length: 0\nContent-Length: %d\n\n%s", hidden, deletes), "400"},
		{"two lengths in one", upload + fmt.Sprintf("Content-Length: 0, %d\n\n%s", hidden, deletes), "400"},
		{"a length with a sign", upload + fmt.Sprintf("Content-Length: +%d\n\n%s", hidden, deletes), "400"},
		{"a negative length", upload + "Content-Length: -1\n\n" + deletes, "400"},
		{"a length in hex", upload + fmt.Sprintf("Content-Length: 0x%x\n\n%s", hidden, deletes), "400"},
		{"an empty length", upload + "Content-Length:\n\n" + deletes, "400"},
		{"a length that is too long", upload + "Content-Length: 99999999999999999999\n\n" + deletes, "400"},
		{"a space in front of the colon", upload + fmt.Sprintf("Content-Length : %d\n\n%s", hidden, deletes), "400"},
		{"a space in front of the name", upload + fmt.Sprintf("X: y\n Content-Length: %d\n\n%s", hidden, ping+"Connection: close\n\n"), "400 200"},
		{"a folded length", upload + fmt.Sprintf("Content-Length:\n %d\n\n%s", hidden, deletes), "400 200"},
		{"a folded encoding", upload + fmt.Sprintf("Transfer-Encoding:\n chunked\n\n%x\n%s\n0\n\n", hidden, deletes), "400 200"},
		{"a name with a tab", upload + fmt.Sprintf("Content-Length\t: %d\n\n%s", hidden, deletes), "400"},
		{"a name with NUL", upload + "X\x00: y\n\n" + deletes, "400"},
		{"a value with NUL", upload + "X: a\x00b\n\n" + deletes, "400"},
		{"a value with CR", upload + "X: a\rContent-Length: 5\n\n" + deletes, "400"},
		{"a line without a colon", upload + "Content-Length\n\n" + deletes, "400"},
		{"another encoding", upload + "Transfer-Encoding: gzip\n\n" + deletes, "501"},
		{"two encodings", upload + "Transfer-Encoding: gzip, chunked\n\n0\n\n" + deletes, "501"},
		{"an encoding twice", upload + "Transfer-Encoding: chunked\nTransfer-Encoding: identity\n\n0\n\n" + deletes, "501"},
		{"an encoding with a character in it", upload + "Transfer-Encoding: \x0bchunked\n\n0\n\n" + deletes, "400"},
		{"an encoding of HTTP/1.0", strings.Replace(upload, "1.1", "1.0", 1) + fmt.Sprintf("Connection: keep-alive\nTransfer-Encoding: chunked\nContent-Length: %d\n\n0\n\n%s", hidden+5, deletes), "400"},
		{"a chunk of a size that is none", upload + "Transfer-Encoding: chunked\n\nxyz\n" + deletes, "400"},
		{"a chunk of a negative size", upload + "Transfer-Encoding: chunked\n\n-1\n" + deletes, "400"},
		{"a chunk that is too large", upload + "Transfer-Encoding: chunked\n\nffffffffffffffffff\n" + deletes, "400"},
		{"a chunk without its end", upload + "Transfer-Encoding: chunked\n\n1\nxy0\n\n" + deletes, "400"},
		{"a chunk with much behind its size", upload + "Transfer-Encoding: chunked\n\n1;" + strings.Repeat("x", 100<<10) + "\nx\n0\n\n" + deletes, "400"},
		{"a trailer that is a header", upload + "Transfer-Encoding: chunked\nTrailer: Authorization\n\n0\nAuthorization: ALICE\n\n", "400 200"},
		{"a path with a line end", "GET /v2/\r\nX: y HTTP/1.1\nHost: HOST\n\n", "400"},
		{"a path with a space", "GET /v2/alice app/manifests/v1 HTTP/1.1\nHost: HOST\n\n", "400"},
		{"a method that is none", "DEL ETE /v2/ HTTP/1.1\nHost: HOST\n\n", "400"},
		{"a method with a character in it", "GE(T /v2/ HTTP/1.1\nHost: HOST\n\n", "400"},
		{"no host", "GET /v2/ HTTP/1.1\n\n", "400"},
		{"two hosts", "GET /v2/ HTTP/1.1\nHost: HOST\nHost: evil.example\n\n", "400"},
		{"a host that is none", "GET /v2/ HTTP/1.1\nHost: a b\n\n", "400"},
		{"another version", "GET /v2/ HTTP/3.7\nHost: HOST\n\n", "505"},
		{"HTTP/2 without TLS", "PRI * HTTP/2.0\n\nSM\n\n", "404"},
		{"HTTP/0.9", "GET /v2/\n\n", "400"},
		{"an upgrade", ping + "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__\n\n", "200 200"},
		{"expectations", upload + "Expect: 200-ok\nContent-Length: 0\n\n", "417"},
	})
	delete(v.stands, "ALICE")
	delete(v.stands, "BOB")
	v.wantSame(t, before)
}
