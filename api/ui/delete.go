package ui

import (
	"time"

	"airmirror/api/admin"
)

// removal is what the page about a removal shows: its plan, or its result.
type removal struct {
	Names   []string
	Back    string
	Items   []removedItem
	Dropped int64 // items that are not listed
	Summary admin.RemoveSummary
	Pinned  bool // some of the images are pinned
	Force   bool // pinned images are removed as well
	Done    bool
}

// removedItem is something that is deleted, or was kept after all: see gc.Candidate.
type removedItem struct {
	Kind     string    `json:"kind"`
	Name     string    `json:"name"`
	Freed    int64     `json:"freed"`
	LastUsed time.Time `json:"lastUsed"`
	Reason   string    `json:"reason"`
	Code     string    `json:"code"` // of the reason; "" for one that has values
	Kept     string    `json:"kept"`
}

// deleteImages shows what a removal would delete. After the user has confirmed that, it removes the images and shows what
// was deleted.
func deleteImages(r *request) (outcome, error) {
	names, err := chosen(r)
	if err != nil {
		return outcome{}, err
	}
	d := removal{Names: names, Back: backOf(r.PostFormValue("back")), Force: r.PostFormValue("force") != "", Done: r.PostFormValue("confirm") != ""}
	if d.Pinned, err = anyPinned(r, names); err != nil {
		return outcome{}, err
	}
	// A plan includes pinned images, so that it shows all that was chosen.
	req := admin.RemoveRequest{Names: names, DryRun: !d.Done, Force: d.Force || !d.Done}
	err = r.admin.Call(r.Context(), "remove", req, nil, func(e admin.Event) error {
		switch e.Kind {
		case admin.KindCandidate, admin.KindDeleted, admin.KindKept:
			var item removedItem
			if err := e.Decode(&item); err != nil {
				return err
			}
			if len(d.Items) < maxItems || item.Kept != "" {
				d.Items = append(d.Items, item)
			} else {
				d.Dropped++
			}
		case admin.KindSummary:
			return e.Decode(&d.Summary)
		}
		return nil
	})
	return outcome{show: "delete", data: d}, err
}

// pin returns the action that runs the job of that name for the chosen images: pin or unpin.
func pin(job string) action {
	return func(r *request) (outcome, error) {
		names, err := chosen(r)
		if err != nil {
			return outcome{}, err
		}
		if r.PostForm.Has("matching") { // the user sees first which they are
			return outcome{show: "select", data: newSelection(job, names, backOf(r.PostFormValue("back")))}, nil
		}
		if err := r.admin.Call(r.Context(), job, names, nil, func(admin.Event) error { return nil }); err != nil {
			return outcome{}, err
		}
		return outcome{to: backOf(r.PostFormValue("back")), notice: job, count: len(names)}, nil
	}
}
