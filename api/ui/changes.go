package ui

import (
	"airmirror/api/admin"
)

// maxChanges is how many changes a page lists.
const maxChanges = 50

// listChanges returns the latest changes that the client may see.
func listChanges(r *request) ([]admin.LoggedChange, error) {
	page, err := r.admin.Changes(r.Context(), admin.ChangeQuery{Limit: maxChanges})
	return page.Changes, err
}
