package middleware

import (
	"net/http"
	"strings"
)

// mustClose reports whether a connection has to end with a request, since somebody in between may see another end to it: then
// what is in the body of one client's request would be taken for a request of another.
//
// A request in chunks that says a length as well is read by its chunks, and the connection is to be closed after it:
// https://www.rfc-editor.org/rfc/rfc9112#section-6.1. As net/http hides that there was a length, every request in chunks is
// the last one, but only of connections that are somebody's who passes on what others send: a client that pushes on a
// connection of its own keeps that. HTTP/1.0 knows no chunks, and net/http overlooks them there.
func mustClose(r *http.Request) bool {
	switch {
	case r.ProtoMajor != 1:
		return false
	case r.ProtoMinor == 0:
		return r.ContentLength != 0
	}
	return len(r.TransferEncoding) > 0 && IsForwarded(r.Header)
}

// IsForwarded reports whether a request has headers of somebody who passed it on; what they say is no matter.
func IsForwarded(header http.Header) bool {
	for key := range header {
		if strings.HasPrefix(key, "X-Forwarded") || proxyHeaders[key] {
			return true
		}
	}
	return false
}

// proxyHeaders are the headers that [IsForwarded] looks for, as net/http writes them.
var proxyHeaders = map[string]bool{
	"Forwarded": true, "Via": true, "X-Real-Ip": true, "X-Client-Ip": true, "X-Cluster-Client-Ip": true, "True-Client-Ip": true,
	"Cf-Connecting-Ip": true, "X-Original-Forwarded-For": true, "X-Envoy-External-Address": true, "X-Original-Host": true,
}
