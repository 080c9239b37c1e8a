package ui

import (
	"strings"

	"airmirror/api/admin"
)

// maxChangeRows is how many changes a page lists.
const maxChangeRows = 50

// changeRow is a change as pages show it.
type changeRow struct {
	admin.LoggedChange
	What    string // the repository with tags or digest; "" for changes of the mirror as a whole
	Request string // of a command, in JSON; "" if it has none
	Failed  bool
}

// listChanges returns the latest changes that the client may see.
func listChanges(r *request) ([]changeRow, error) {
	page, err := r.admin.Changes(r.Context(), admin.ChangeQuery{Limit: maxChangeRows})
	rows := make([]changeRow, 0, len(page.Changes))
	for _, change := range page.Changes {
		row := changeRow{LoggedChange: change, What: change.Repo, Failed: change.Error != ""}
		switch {
		case len(change.Tags) > 0:
			row.What += ":" + strings.Join(change.Tags, ", ")
		case change.Digest != "":
			row.What += "@" + short(change.Digest)
		}
		if request := string(change.Detail); change.Repo == "" && request != "{}" && request != "null" {
			row.Request = request
		}
		rows = append(rows, row)
	}
	return rows, err
}
