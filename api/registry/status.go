package registry

import (
	"net/http"

	"airmirror/mirror"
)

// StatusOf returns the HTTP status that says what a code says, for other APIs of the mirror that fail in the same words.
func StatusOf(code mirror.Code) int {
	if status, ok := statuses[code]; ok {
		return status
	}
	return http.StatusInternalServerError
}
