package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/api/events"
	"airmirror/gc"
	"airmirror/mirror"
)

func newStatusCommand() *cobra.Command {
	q := &adminCommand{}
	return q.command(&cobra.Command{
		Use:   "status",
		Short: "Show whether the mirror is ready, and its state",
		Long: `Show whether a server runs and is ready, its mode, who may use it, the space on its disk, the expiry of
its certificate, its current work and queues, and the state of each upstream at the last request to
it. The command contacts no upstream.

Exit codes: 0 a server runs and is ready, 1 it is not ready, or no server runs; others as for serve.`,
		Example: `  mirror status
  mirror status --data /srv/mirror --json
  mirror status --quiet || echo 'the mirror needs attention'`,
		Args: noArguments,
	}, func(cmd *cobra.Command, client *admin.Client, _ []string) error {
		status, err := client.Status(cmd.Context())
		if err != nil {
			return err
		}
		if q.json {
			err = printJSON(cmd.OutOrStdout(), status)
		} else {
			err = printStatus(cmd.OutOrStdout(), status)
		}
		switch {
		case err != nil:
			return err
		case status.Server == nil:
			return fmt.Errorf("no server runs on %s: start one with 'mirror serve --data %[1]s'", status.Data)
		case status.Ready != nil && !status.Ready.Ready:
			return fmt.Errorf("the server is not ready: %s", status.Ready.Reason)
		}
		return nil
	})
}

func printStatus(out io.Writer, s admin.Status) error {
	server := "not running"
	if s.Server != nil {
		server = fmt.Sprintf("process %d serves %s, started %s", s.Server.PID, s.Server.Address, age(s.Server.Started))
	}
	t := newTable(out, "server", server)
	if s.Ready != nil {
		t.row("ready", readyText(*s.Ready))
	}
	t.row("version", s.Version)
	t.row("data", s.Data)
	t.row("mode", string(s.Mode))
	if s.ReadOnly {
		t.row(readOnly, "on")
	}
	if s.Access != "" {
		t.row("access", s.Access)
	}
	if !s.CertificateExpires.IsZero() {
		t.row("certificate", expiryText(s.CertificateExpires, time.Now()))
	}
	if s.Disk != nil {
		t.row("disk", diskText(*s.Disk))
	}
	t.row("stored", size(s.Stored))
	t.row("transfers", fmt.Sprintf("%d running, %s of clients", s.Downloads, count(int(s.Requests), "request", "requests")))
	t.row("incomplete", incompleteText(s.Status))
	t.row("wants", fmt.Sprint(s.Wants))
	for _, i := range s.Imports {
		t.row("waiting", pendingText(i))
	}
	t.row("collected", collectedText(s.Collection))
	t.row("verified", verifiedText(s.Verify))
	if err := t.Flush(); err != nil {
		return err
	}
	if len(s.Upstreams) > 0 {
		fmt.Fprintln(out)
		t = newTable(out, "UPSTREAM", "STATE", "URL")
		for _, u := range s.Upstreams {
			t.row(u.Host, upstreamState(s.Mode, u), strings.Join(u.URLs, ", "))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if len(s.Events) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	t = newTable(out, "ENDPOINT", "WAITING", "LOST", "STATE", "HOST")
	for _, e := range s.Events {
		var lost uint64
		for _, n := range e.Dropped {
			lost += n
		}
		t.row(e.Name, fmt.Sprint(e.Waiting), fmt.Sprint(lost), endpointState(s, e), e.Host)
	}
	return t.Flush()
}

func readyText(r admin.Ready) string {
	if r.Ready {
		return "yes"
	}
	return "no: " + r.Reason
}

// diskText returns the free space, and what happens if it is low.
func diskText(d admin.Disk) string {
	text := fmt.Sprintf("%s free of %s", size(d.Free), size(d.Total))
	switch {
	case d.Free < d.MinFree:
		text += fmt.Sprintf("; full: pushes are refused until %s are free (limits.minFree)", size(d.MinFree))
	case d.Low():
		text += fmt.Sprintf("; low: pushes are refused when less than %s is free (limits.minFree)", size(d.MinFree))
	}
	return text
}

// certificateNotice is how long before its expiry a certificate is worth a notice.
const certificateNotice = 30 * day

// expiryText returns when a certificate expires, and what to do if that is soon.
func expiryText(expires, now time.Time) string {
	text := "expires " + expires.UTC().Format("2006-01-02") + ", " + age(expires)
	switch {
	case expires.Before(now):
		text = "expired " + age(expires) + ": clients refuse it; renew it with 'mirror cert'"
	case expires.Sub(now) < certificateNotice:
		text += ": renew it with 'mirror cert'"
	}
	return text
}

// incompleteText returns the number of incomplete images and of images in the backfill.
func incompleteText(s mirror.Status) string {
	if s.IncompleteError != "" {
		return "not known: " + s.IncompleteError
	}
	text := count(s.Incomplete, "image", "images")
	if s.Backfill > 0 {
		text += fmt.Sprintf("; %s in the backfill", count(s.Backfill, "image", "images"))
	}
	return text
}

// pendingText returns which volume an import waits for. A digest is shown only if there is no name.
func pendingText(i admin.PendingImport) string {
	next := fmt.Sprintf("volume %d", i.Next)
	if i.Count > 0 {
		next += fmt.Sprintf(" of %d", i.Count)
	}
	return fmt.Sprintf("for %s of %s; the last volume was imported %s", next, cmp.Or(i.Name, i.Set), age(i.Since))
}

// endpointState returns the state of the delivery of events to an endpoint.
func endpointState(s admin.Status, e events.Status) string {
	switch {
	case s.Server == nil:
		return "delivered by a server"
	case s.Mode == mirror.Offline && !e.Offline:
		return "waiting until the mirror is online"
	case e.Error != "":
		return "failing, " + age(e.Since) + ": " + e.Error
	}
	return "ok"
}

// collectedText returns the time and the result of the last collection.
func collectedText(s *gc.Status) string {
	if s == nil {
		return "-"
	}
	next := ""
	if !s.Next.IsZero() {
		next = "; next " + age(s.Next)
	}
	switch {
	case s.Running:
		return "running, started " + age(s.Since)
	case s.Last == nil:
		return "never" + next
	case s.Last.Error != "":
		return age(s.Last.Began) + ", failed: " + s.Last.Error + next
	case s.Last.Budget.Shortfall > 0:
		return fmt.Sprintf("%s, %s freed, %s above the budget: %s%s", age(s.Last.Began), size(s.Last.Bytes), size(s.Last.Budget.Shortfall), s.Last.Budget.Reason, next)
	}
	return fmt.Sprintf("%s, %s freed%s", age(s.Last.Began), size(s.Last.Bytes), next)
}

// verifiedText returns the time and the result of the last verification.
func verifiedText(s mirror.VerifyStatus) string {
	text := "never"
	if s.Last != nil {
		text = age(s.Last.Started)
		if s.Last.Fast {
			text += ", without reading content"
		}
		text += ": " + defectsText(s.Last)
	}
	if s.Running {
		return "running; last: " + text
	}
	return text
}

func upstreamState(mode mirror.Mode, u mirror.UpstreamStatus) string {
	switch {
	case mode == mirror.Offline:
		return "not used"
	case u.Down:
		return "down, " + age(u.Since) + ": " + u.Error
	case u.Failures > 0:
		return count(u.Failures, "failure", "failures") + ": " + u.Error
	case u.Error != "":
		return u.Error
	case !u.Asked:
		return "no request yet"
	}
	return "ok"
}
