package progress_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/mirror"
	"airmirror/sync/progress"
)

var _ mirror.Progress = (*progress.Reporter)(nil)

func TestProgressIsReportedAfterItChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports []int64
		var r *progress.Reporter
		r = progress.New(func() {
			r.Report(func(now progress.Snapshot) {
				reports = append(reports, now.Done)
				if now.Total != 10 || now.Current != "it" || now.Time.IsZero() {
					t.Errorf("%+v", now)
				}
			})
		})
		r.Expect(10)
		r.Doing("it")
		r.Did(1)
		r.Did(2)
		time.Sleep(3 * progress.Interval / 2)
		time.Sleep(5 * progress.Interval)
		r.Did(0)
		time.Sleep(progress.Interval)
		r.Did(4)
		time.Sleep(progress.Interval)
		r.Close()
		r.Did(3)
		time.Sleep(progress.Interval)
		r.Report(func(now progress.Snapshot) { reports = append(reports, now.Done) })
		if !slices.Equal(reports, []int64{3, 7, 10}) {
			t.Errorf("reports %d", reports)
		}
	})
}
