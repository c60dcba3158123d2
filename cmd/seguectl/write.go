package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strings"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul"
)

// change is one write that a verb wants to make.
type change struct {
	// event names it in the audit.
	event string
	// name is the model's name or settingsName, key the key to write.
	name, key string
	// before is what was read under the key, nil where there was nothing.
	before *configs.Item
	// after is what to write; nil deletes.
	after []byte
	// beside are further writes that must happen with it or not at all.
	beside []configs.Write
	// outcome is what to say of it in the audit; "written" where it is empty.
	outcome string
	// question is what to ask before the change, empty where nobody loses
	// anything.
	question string
}

// changeReport says what a writing verb did.
type changeReport struct {
	Model string `json:"model"`
	Event string `json:"event"`
	// Changed is false where the store holds the same bytes already; DryRun
	// says that nothing was written although it would have been.
	Changed bool `json:"changed"`
	DryRun  bool `json:"dry_run,omitempty"`
	// Index is the index of the write, or of what is there where nothing was
	// written.
	Index        uint64      `json:"index"`
	BeforeIndex  uint64      `json:"before_index,omitempty"`
	BeforeDigest string      `json:"before_digest,omitempty"`
	Digest       string      `json:"digest,omitempty"`
	Difference   *difference `json:"difference,omitempty"`
	Warnings     []place     `json:"warnings,omitempty"`
	Notes        []string    `json:"notes,omitempty"`
	Wait         *waitReport `json:"wait,omitempty"`
}

func (r *changeReport) writeText(w io.Writer) {
	switch {
	case r.DryRun:
		fmt.Fprintf(w, "%s: %s would be written (dry run)\n", r.Model, r.Event)
	case r.Changed:
		fmt.Fprintf(w, "%s: %s written at index %d\n", r.Model, r.Event, r.Index)
	default:
		fmt.Fprintf(w, "%s: %s changes nothing\n", r.Model, r.Event)
	}
	if r.Difference != nil {
		r.Difference.writeText(w)
	}
	if r.Wait != nil {
		r.Wait.writeText(w)
	}
}

// note adds a note to the report and tells it at once.
func (c *cli) noteIn(r *changeReport, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.Notes = append(r.Notes, text)
	c.note("note: %s", text)
}

// write makes the change by check-and-set and records it. On failure the
// report says how far it came.
func (c *cli) write(ctx context.Context, s *source, w *writing, ch change) (*changeReport, error) {
	r := &changeReport{Model: ch.name, Event: ch.event}
	var at uint64
	if ch.before != nil {
		at = ch.before.Index
		r.Index, r.BeforeIndex, r.BeforeDigest = at, at, configs.EntryDigest(ch.before.Value)
	}
	if ch.after != nil {
		r.Digest = configs.EntryDigest(ch.after)
	}
	if r.Digest == r.BeforeDigest && len(ch.beside) == 0 {
		return r, nil
	}
	if w.dryRun {
		r.DryRun = true
		return r, nil
	}
	if err := c.confirm(ctx, w, ch.question); err != nil {
		return r, err
	}
	writes := append([]configs.Write{{Key: ch.key, Value: ch.after, Delete: ch.after == nil, Index: at, Tool: true}}, ch.beside...)
	index, err := s.Apply(ctx, writes...)
	if err != nil {
		return r, fmt.Errorf("%s %s: %w", ch.event, ch.name, err)
	}
	r.Changed, r.Index = true, index
	if err := c.record(ctx, s, w, ch, r); err != nil {
		return r, fmt.Errorf("the change is written at index %d, but its audit record is not: %w", index, err)
	}
	return r, nil
}

// record writes the audit record of a change that was made. It is not cut off
// by an interrupt that comes after the change.
func (c *cli) record(ctx context.Context, s *source, w *writing, ch change, r *changeReport) error {
	return configs.RecordAudit(context.WithoutCancel(ctx), s, configs.AuditRecord{
		Model: ch.name, Index: r.Index, Event: ch.event, At: c.now().UTC(),
		Who: c.who(ctx, s), Reason: w.reason,
		BeforeDigest: r.BeforeDigest, Document: string(ch.after), Outcome: cmp.Or(ch.outcome, "written"),
	})
}

// who names the writer: the token as the store knows it, and the user of this
// system.
func (c *cli) who(ctx context.Context, s *source) configs.AuditWho {
	known := s.Who(ctx)
	if s.kind == "file" && known != "" {
		return configs.AuditWho{User: known}
	}
	if known == consul.Anonymous {
		known = ""
	}
	return configs.AuditWho{TokenAccessor: known, User: c.user()}
}

func (c *cli) user() string {
	if name, ok := c.lookupEnv("USER"); ok && name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

// errDeclined says that the user answered no.
var errDeclined = errors.New("not confirmed: nothing was written")

// confirm asks where something would be lost, somebody is there to answer, and
// --yes does not answer already.
func (c *cli) confirm(ctx context.Context, w *writing, question string) error {
	if question == "" || w.yes || !c.interactive {
		return nil
	}
	fmt.Fprintf(c.stderr, "%s Go on? [y/N] ", question)
	answer, err := c.readLine(ctx)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errDeclined
}

// readLine reads a line of standard input, or less at its end. Nothing can
// stop a read from a terminal, so where ctx ends first the reader stays behind
// until the process ends, which is next.
func (c *cli) readLine(ctx context.Context) (string, error) {
	type outcome struct {
		line string
		err  error
	}
	read := make(chan outcome, 1)
	go func() {
		line, err := bufio.NewReader(c.stdin).ReadString('\n')
		read <- outcome{line, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case o := <-read:
		if errors.Is(o.err, io.EOF) {
			o.err = nil
		}
		return o.line, o.err
	}
}

// trafficQuestion is what to ask where versions stop answering.
func trafficQuestion(model string, lost []string) string {
	switch len(lost) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("Version %s of %s stops answering requests that name no version.", lost[0], model)
	}
	return fmt.Sprintf("Versions %s of %s stop answering requests that name no version.", strings.Join(lost, ", "), model)
}
