package middleware

import (
	"net/http"
	"strings"
)

// mustClose reports whether the connection must be closed after the request, because a proxy in between may disagree
// about where the request ends. Otherwise a part of one client's body could be taken for another client's request
// (request smuggling).
//
// A request with both Transfer-Encoding and Content-Length is read by its chunks, and the connection has to be closed:
// https://www.rfc-editor.org/rfc/rfc9112#section-6.1. net/http hides the Content-Length in that case, so every chunked
// request that was forwarded closes its connection. Clients that push directly keep theirs. HTTP/1.0 has no chunked
// encoding; net/http ignores the header there.
func mustClose(r *http.Request) bool {
	switch {
	case r.ProtoMajor != 1:
		return false
	case r.ProtoMinor == 0:
		return r.ContentLength != 0
	}
	return len(r.TransferEncoding) > 0 && IsForwarded(r.Header)
}

// IsForwarded reports whether a request has headers of a proxy, whatever their values are.
func IsForwarded(header http.Header) bool {
	for key := range header {
		if strings.HasPrefix(key, "X-Forwarded") || proxyHeaders[key] {
			return true
		}
	}
	return false
}

// proxyHeaders are the headers that [IsForwarded] looks for, in canonical form.
var proxyHeaders = map[string]bool{
	"Forwarded": true, "Via": true, "X-Real-Ip": true, "X-Client-Ip": true, "X-Cluster-Client-Ip": true, "True-Client-Ip": true,
	"Cf-Connecting-Ip": true, "X-Original-Forwarded-For": true, "X-Envoy-External-Address": true, "X-Original-Host": true,
}
