package ui

import (
	"slices"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// maxIncomplete is how many incomplete images the overview lists.
const maxIncomplete = 8

// overviewData is what the overview shows.
type overviewData struct {
	Status    admin.Status
	Limited   bool // the client may not see the state of the mirror
	Counts    mirror.ImageCounts
	Some      []incompleteImage // the first incomplete images
	Upstreams []upstreamRow
	DiskUsed  int64
	Trend     *trend   // nil before the first day, and for users who may not see it
	DiskState string   // "ok", "warn" or "bad"; "" if the disk is unknown
	Jobs      []jobRow // that run
	Transfers mirror.Transfers
	Defects   int // that the last verification found and did not repair
}

// incompleteImage is an image that cannot run without a network, and why.
type incompleteImage struct {
	admin.Image
	Display string
	Why     string // last part of the key of a text "why.*"
	Detail  string // what the mirror reported; may be empty
}

// upstreamRow is an upstream and its state.
type upstreamRow struct {
	mirror.UpstreamStatus
	Kind, Code string
}

func overviewPage(r *request) (any, error) {
	status, err := r.admin.Status(r.Context())
	d := overviewData{Status: status, Limited: !r.user.Admin}
	if err != nil && (r.user.Admin || !isDenied(err)) {
		return nil, err
	}
	if d.Limited { // a user who may not see the state still sees its images
		mode, err := r.admin.Mode(r.Context())
		if err != nil {
			return nil, err
		}
		status.Mode = mode.Mode
	}
	if !d.Limited {
		if d.Jobs, err = listJobs(r, true); err != nil {
			return nil, err
		}
		if d.Trend, err = readTrend(r); err != nil {
			return nil, err
		}
		if d.Transfers, err = r.admin.Transfers(r.Context()); err != nil {
			return nil, err
		}
	}
	if d.Counts, err = r.admin.ImageCounts(r.Context()); err != nil {
		return nil, err
	}
	if d.Counts.Incomplete > 0 {
		page, err := r.admin.ImagePage(r.Context(), admin.PageQuery{Query: admin.Query{Incomplete: true}, Limit: maxIncomplete})
		if err != nil {
			return nil, err
		}
		for _, image := range page.Images {
			d.Some = append(d.Some, explain(image, status, d.Transfers.Backfill))
		}
	}
	for _, u := range status.Upstreams {
		d.Upstreams = append(d.Upstreams, stateOf(u, status.Mode))
	}
	if disk := status.Disk; disk != nil {
		d.DiskUsed = disk.Total - disk.Free
		d.DiskState = "ok"
		switch {
		case disk.Free < disk.MinFree:
			d.DiskState = "bad"
		case disk.Low():
			d.DiskState = "warn"
		}
	}
	if last := status.Verify.Last; last != nil {
		for _, n := range last.Defects {
			d.Defects += n
		}
		d.Defects -= last.Repaired
	}
	return d, nil
}

// explain says why an image is not complete.
func explain(image admin.Image, status admin.Status, backfill []mirror.BackfillImage) incompleteImage {
	i := incompleteImage{Image: image, Display: displayName(image)}
	ref, err := image.Ref()
	at := slices.IndexFunc(status.Upstreams, func(u mirror.UpstreamStatus) bool { return err == nil && u.Host == ref.Repo.Host })
	switch {
	case image.Error != "":
		i.Why, i.Detail = "unreadable", image.Error
	case status.Mode == mirror.Offline:
		i.Why = "offline"
	case at < 0 && status.Upstreams == nil:
		i.Why = "partly"
	case at < 0:
		i.Why = "noUpstream"
	case status.Upstreams[at].Down:
		i.Why, i.Detail = "down", status.Upstreams[at].Error
	case isIn(backfill, image):
		i.Why = "backfill"
	case image.Size == 0:
		i.Why = "notFetched"
	default:
		i.Why, i.Detail = "partly", status.Upstreams[at].Error
	}
	return i
}

// isIn reports whether an image, or the index that it belongs to, is in the backfill.
func isIn(backfill []mirror.BackfillImage, image admin.Image) bool {
	return slices.ContainsFunc(backfill, func(b mirror.BackfillImage) bool {
		ref, err := mirror.ParseRef(b.Ref)
		return err == nil && ref.Repo.String() == image.Repo && (ref.Digest == image.Digest || ref.Digest == image.Index)
	})
}

// displayName returns the name of an image as clients write it.
func displayName(image admin.Image) string {
	if image.Root == "" {
		return image.Name + ":" + image.Tag
	}
	return image.Name + "@" + image.Root.Algorithm().String() + ":" + short(image.Root)
}

// stateOf returns an upstream with the code of its state.
func stateOf(u mirror.UpstreamStatus, mode mirror.Mode) upstreamRow {
	row := upstreamRow{UpstreamStatus: u}
	switch {
	case mode == mirror.Offline:
		row.Kind, row.Code = "off", "notUsed"
	case u.Down:
		row.Kind, row.Code = "bad", "down"
	case u.Failures > 0:
		row.Kind, row.Code = "warn", "failures"
	case !u.Asked:
		row.Kind, row.Code = "off", "notAsked"
	default:
		row.Kind, row.Code = "ok", "ok"
	}
	return row
}
