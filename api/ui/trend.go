package ui

import (
	"fmt"
	"strings"

	"airmirror/mirror"
)

// trend is how much was stored on the last days.
type trend struct {
	Points    string // of a line in a box of trendWidth and trendHeight; "" for a single day
	From, To  string // days
	Low, High int64  // bytes
	Origins   []originSize
}

// originSize is what an origin had on the last day. The origin is "" for files that no repository uses.
type originSize struct {
	Origin mirror.Origin
	Bytes  int64
}

const trendWidth, trendHeight = 400, 60

// readTrend returns the trend; nil if there is no sample yet.
func readTrend(r *request) (*trend, error) {
	samples, err := r.admin.StorageHistory(r.Context())
	if err != nil || len(samples) == 0 {
		return nil, err
	}
	last := samples[len(samples)-1]
	t := &trend{From: samples[0].Day, To: last.Day, Low: last.Stored, High: last.Stored}
	for _, s := range samples {
		t.Low, t.High = min(t.Low, s.Stored), max(t.High, s.Stored)
	}
	for _, origin := range []mirror.Origin{mirror.Pushed, mirror.Mirrored, mirror.Imported, ""} {
		if bytes := last.Origins[origin]; bytes > 0 {
			t.Origins = append(t.Origins, originSize{origin, bytes})
		}
	}
	if len(samples) == 1 {
		return t, nil
	}
	points := make([]string, len(samples))
	for i, s := range samples { // from 0 at the bottom, so that the line does not exaggerate
		x := float64(i) * trendWidth / float64(len(samples)-1)
		y := trendHeight - float64(s.Stored)/float64(max(t.High, 1))*(trendHeight-2) - 1
		points[i] = fmt.Sprintf("%.1f,%.1f", x, y)
	}
	t.Points = strings.Join(points, " ")
	return t, nil
}
