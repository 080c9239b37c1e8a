package admin

import (
	_ "embed"
	"net/http"
)

// openAPI describes the requests that are served to users: https://spec.openapis.org/oas/v3.1.0. It is made from the routes and
// the types of this API by 'make docs'.
//
//go:embed openapi.json
var openAPI []byte

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI) // the client may have disconnected
	return nil
}
