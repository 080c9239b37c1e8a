package ui

import (
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/api/admin"
)

// maxSpaceRows is how many repositories and candidates the page of space lists.
const maxSpaceRows = 500

// spaceData is what the page of space shows.
type spaceData struct {
	Repos []admin.Usage // the largest first
	Total *admin.Usage  // nil if the user may not see all repositories
	More  int           // repositories that are not listed
	Trend *trend        // nil before the first day, and for users who may not see it
	Plan  *spacePlan    // nil before it was asked for
}

// spacePlan is the plan of a collection: what gc --dry-run shows.
type spacePlan struct {
	Made   time.Time `json:"made"`
	Totals struct {
		Images, Tags, Blobs, Uploads, Orphans int
		Bytes                                 int64
	} `json:"totals"`
	Budget struct {
		Reason string `json:"reason"`
	} `json:"budget"`
	KeepReasons []struct {
		Reason string `json:"reason"`
		Code   string `json:"code"`
		Bytes  int64  `json:"bytes"`
	} `json:"keepReasons"`
	Unreadable int              `json:"unreadable"`
	Candidates []spaceCandidate `json:"-"`
	Count      int              `json:"-"` // of all candidates
}

// spaceCandidate is something that a collection deletes.
type spaceCandidate struct {
	Kind     string        `json:"kind"`
	Name     string        `json:"name"`
	Tags     []string      `json:"tags"`
	Digest   digest.Digest `json:"digest"`
	Freed    int64         `json:"freed"`
	LastUsed time.Time     `json:"lastUsed"`
	Reason   string        `json:"reason"`
	Code     string        `json:"code"` // of the reason; "" for one that has values
}

// display returns the name of a candidate for people.
func (c spaceCandidate) display() string {
	switch c.Kind {
	case "image":
		if len(c.Tags) > 1 {
			repo, _ := admin.SplitTag(c.Name)
			return repo + ":" + strings.Join(c.Tags, ",")
		}
	case "manifest":
		repo, d, _ := strings.Cut(c.Name, "@")
		return repo + "@" + short(digest.Digest(d))
	case "blob", "orphan":
		return short(c.Digest)
	}
	return c.Name
}

func spacePage(r *request) (any, error) { return readSpace(r) }

// readSpace reads the usage of the repositories.
func readSpace(r *request) (*spaceData, error) {
	d := &spaceData{}
	err := r.admin.Call(r.Context(), "usage", admin.UsageRequest{}, nil, func(e admin.Event) error {
		var usage admin.Usage
		if err := e.Decode(&usage); err != nil {
			return err
		}
		switch {
		case e.Kind == admin.KindSummary:
			d.Total = &usage
		case len(d.Repos) == maxSpaceRows:
			d.More++
		default:
			d.Repos = append(d.Repos, usage)
		}
		return nil
	})
	if err == nil && r.user.Admin {
		d.Trend, err = readTrend(r)
	}
	return d, err
}

// planCollection shows what a collection would delete: the same plan as that of gc --dry-run.
func planCollection(r *request) (outcome, error) {
	d, err := readSpace(r)
	if err != nil {
		return outcome{}, err
	}
	d.Plan = &spacePlan{}
	err = r.admin.Job(r.Context(), "collect", admin.CollectRequest{DryRun: true}, nil, func(e admin.Event) error {
		switch e.Kind {
		case admin.KindPlan:
			return e.Decode(d.Plan)
		case admin.KindCandidate:
			var c spaceCandidate
			if err := e.Decode(&c); err != nil {
				return err
			}
			if c.Name = c.display(); d.Plan.Count < maxSpaceRows {
				d.Plan.Candidates = append(d.Plan.Candidates, c)
			}
			d.Plan.Count++
		}
		return nil
	})
	return outcome{show: "space", data: d}, err
}

// collect starts a collection. It goes on when the browser leaves.
func collect(r *request) (outcome, error) {
	_, err := r.admin.StartJob(r.Context(), "collect", admin.CollectRequest{}, false)
	return outcome{notice: "collect", count: 1}, err
}
