package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// startLibrary answers calls with the library's server.
func startLibrary(t *testing.T, handle func(method string, s grpc.ServerStream) error, options ...grpc.ServerOption) (*grpc.Server, Target) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	options = append(options, grpc.ForceServerCodecV2(encoded{}), grpc.MaxRecvMsgSize(mostMessage),
		grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			method, _ := grpc.MethodFromServerStream(s)
			return handle(method, s)
		}))
	s := grpc.NewServer(options...)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, Target{GRPC: true, Addr: l.Addr().String(), Timeout: 10 * time.Second}
}

// echo answers what it was sent, and says which call and which mark that was.
func echo(method string, s grpc.ServerStream) error {
	var body []byte
	if err := s.RecvMsg(&body); err != nil {
		return err
	}
	md, _ := metadata.FromIncomingContext(s.Context())
	if err := s.SetHeader(metadata.Pairs("method", method, "mark", strings.Join(md["mark"], ","))); err != nil {
		return err
	}
	if _, ok := s.Context().Deadline(); !ok {
		return status.Error(codes.Internal, "no deadline")
	}
	return s.SendMsg(body)
}

func TestCallsOfAnySizeAndPathAreUnderstood(t *testing.T) {
	for name, options := range map[string][]grpc.ServerOption{
		"as it is":       nil,
		"without tables": {grpc.HeaderTableSize(0)},
		"small windows":  {grpc.InitialWindowSize(70_000), grpc.InitialConnWindowSize(70_000)},
	} {
		_, target := startLibrary(t, echo, options...)
		for i, size := range []int{0, 1, 262_144, 100, 16_384 - messagePrefix, 16_384, 3 << 20} {
			target.Requests = append(target.Requests, Request{
				Path: fmt.Sprintf("/a.B/C%d", i/2), Body: bytes.Repeat([]byte{byte(i)}, size), Header: map[string]string{"Mark": fmt.Sprint("m", i)},
			})
		}
		target.Check = func(i int, a Answer, _ time.Time) error {
			r := target.Requests[i]
			if a.Code() != 200 || !a.IsMessage() || !bytes.Equal(a.Body(), r.Body) || string(a.Header("Method")) != r.Path || string(a.Header("mark")) != r.Header["Mark"] {
				return fmt.Errorf("%d: %d, %d bytes, %q, %q", i, a.Code(), len(a.Body()), a.Header("method"), a.Header("mark"))
			}
			return nil
		}
		out, err := Closed(context.Background(), target, ClosedOptions{Connections: 3, Duration: time.Second})
		if err != nil || out.Failed != 0 || out.Answered < 7 {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
}

func TestACallThatIsRefusedUnreadIsAnswered(t *testing.T) {
	_, target := startLibrary(t, func(string, grpc.ServerStream) error {
		return status.Error(codes.ResourceExhausted, "zu viel – 100 %")
	})
	target.Requests = []Request{{Path: "/a.B/C", Body: make([]byte, 1<<20)}, {Path: "/a.B/C", Body: []byte("short")}}
	target.Check = func(_ int, a Answer, _ time.Time) error {
		if a.Code() != 429 || string(a.Body()) != "zu viel – 100 %" {
			return fmt.Errorf("%d %q", a.Code(), a.Body())
		}
		return ErrRefused
	}
	out, err := Closed(context.Background(), target, ClosedOptions{Connections: 2, Duration: time.Second})
	if err != nil || out.Failed != 0 || out.Refused < 4 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestAServerThatGoesAwayGracefullyFailsNoCall(t *testing.T) {
	s, target := startLibrary(t, func(method string, s grpc.ServerStream) error {
		time.Sleep(5 * time.Millisecond)
		return echo(method, s)
	}, grpc.ConnectionTimeout(time.Second))
	target.Requests = []Request{{Path: "/a.B/C", Body: []byte("x")}}
	seen := make(chan struct{}, 1)
	target.Check = func(_ int, a Answer, _ time.Time) error {
		select {
		case seen <- struct{}{}:
		default:
		}
		if a.Code() != 200 {
			return fmt.Errorf("%d", a.Code())
		}
		return nil
	}
	go func() {
		<-seen
		s.GracefulStop()
	}()
	out, err := Closed(context.Background(), target, ClosedOptions{Connections: 2, Duration: time.Second})
	// Each connection ends with its call done; the next finds nobody.
	if err != nil || out.Failed != 2 || !strings.Contains(out.Failures[0], "refused") || out.Answered == 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestCodesAreGivenAsTheirHTTPStatus(t *testing.T) {
	for code, want := range map[codes.Code]int{codes.InvalidArgument: 400, codes.NotFound: 404, codes.ResourceExhausted: 429, codes.Internal: 500, codes.Unavailable: 0, codes.DeadlineExceeded: 0} {
		_, target := startLibrary(t, func(string, grpc.ServerStream) error { return status.Error(code, "why") })
		target.Requests = []Request{{Path: "/a.B/C"}}
		got, said := 0, ""
		err := Once(target, 0, func(a Answer) error {
			got, said = a.Code(), string(a.Body())
			return nil
		})
		if got != want || (want != 0 && (err != nil || said != "why")) || (want == 0 && (err == nil || !strings.Contains(err.Error(), "no answer: "+code.String()+": why"))) {
			t.Errorf("%s: %d %q, %v", code, got, said, err)
		}
	}
}

func TestHeadsStayTrueWhereManyPathsFillTheTable(t *testing.T) {
	target := &Target{Addr: "localhost:1", Timeout: time.Second}
	for i := range 100 {
		target.Requests = append(target.Requests, Request{Path: fmt.Sprintf("/a.B/%060d", i)})
	}
	c := encodeCalls(target)
	r := requestHeads{heads: c.heads, known: make([]knownHead, len(c.heads))}
	for _, limit := range []uint32{defaultTableSize, 200, 0} {
		r.open()
		decoder := hpack.NewDecoder(defaultTableSize, nil)
		for n := range 2000 {
			if n == 50 {
				r.limit(limit)
			}
			// Runs of few requests, and of many that do not fit.
			i := n % 3
			if n/100%2 == 1 {
				i = n % len(c.heads)
			}
			fields, err := decoder.DecodeFull(r.encode(i))
			if err != nil || fmt.Sprint(fields) != fmt.Sprint(c.heads[i]) {
				t.Fatalf("a table of %d, head %d of request %d: %v, %v", limit, n, i, fields, err)
			}
		}
	}
	r.open()
	for range 2 {
		r.encode(0)
	}
	if got := testing.AllocsPerRun(100, func() { r.encode(0) }); got != 0 {
		t.Errorf("%v allocations for a head that is known", got)
	}
}

func TestTimeoutsAreWrittenInEightDigits(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Nanosecond: "1m", 30 * time.Second: "30000m", 99_999_999 * time.Millisecond: "99999999m", 100_000 * time.Second: "100000S"} {
		if got := timeoutText(d); got != want {
			t.Errorf("%s is %s, want %s", d, got, want)
		}
	}
}

func TestMessagesOfErrorsAreUnescaped(t *testing.T) {
	for text, want := range map[string]string{"": "", "a%20b": "a b", "%E2%80%93": "–", "100%": "100%", "%zz%4": "%zz%4", "%2541": "%41"} {
		if got := string(appendUnescaped(nil, text)); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// frames writes frames as a server does.
func frames(parts ...func(to []byte) []byte) []byte {
	var all []byte
	for _, p := range parts {
		all = p(all)
	}
	return all
}

func of(kind, flags byte, stream uint32, payload string) func(to []byte) []byte {
	return func(to []byte) []byte { return append(appendFrame(to, len(payload), kind, flags, stream), payload...) }
}

// head writes a block of fields without a table.
func head(fields ...string) string {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.String()
}

var (
	initial = head(":status", "200", "content-type", "application/grpc", "mark", "m")
	trailer = head("grpc-status", "0")
	message = "\x00\x00\x00\x00\x05hello"
)

// readCall reads the answer to a connection's first call in pieces.
func readCall(text []byte, size int) (h *http2, done bool, err error) {
	h = newHTTP2(encodeCalls(&Target{Requests: []Request{{Path: "/a.B/C"}}, Timeout: time.Second}))
	h.open()
	h.send(0)
	for len(text) > 0 {
		h.sent(len(h.unsent()))
		space := h.space()
		n := copy(space[:min(size, len(space))], text)
		text = text[n:]
		now, err := h.received(n)
		if err != nil {
			return h, done, err
		}
		done = done || now
	}
	return h, done, nil
}

func TestFramesAreReadHoweverTheyAreCut(t *testing.T) {
	answer := [][]byte{
		frames(of(frameSettings, 0, 0, ""), of(frameSettings, flagAck, 0, ""), of(frameHeaders, flagEndHeaders, 1, initial),
			of(frameData, 0, 1, message), of(frameHeaders, flagEndHeaders|flagEndStream, 1, trailer)),
		frames(of(frameHeaders, 0, 1, initial[:3]), of(frameContinuation, 0, 1, initial[3:4]), of(frameContinuation, flagEndHeaders, 1, initial[4:]),
			of(frameData, flagPadded, 1, "\x02"+message[:7]+"xx"), of(framePing, 0, 0, "12345678"), of(frameData, 0, 1, message[7:]),
			of(frameWindowUpdate, 0, 1, "\x00\x00\x01\x00"), of(99, 3, 7, "?"),
			of(frameHeaders, flagEndHeaders|flagEndStream|flagPadded|flagPriority, 1, "\x0112345"+trailer+"x"), of(frameReset, 0, 1, "\x00\x00\x00\x00")),
		frames(of(frameHeaders, flagEndHeaders, 1, head(":status", "103")), of(frameHeaders, flagEndHeaders, 1, initial), of(frameData, 0, 1, ""),
			of(frameData, 0, 1, message), of(frameGoAway, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x00"), of(frameHeaders, flagEndHeaders|flagEndStream, 1, trailer)),
	}
	for n, text := range answer {
		for _, size := range []int{1, 2, 9, 1 << 20} {
			h, done, err := readCall(text, size)
			if err != nil || !done || h.failure != nil {
				t.Fatalf("answer %d in pieces of %d: %v, %v, %v", n, size, done, err, h.failure)
			}
			from, _ := h.answer()
			if a := (Answer{from}); a.Code() != 200 || string(a.Body()) != "hello" || string(a.Header("mark")) != "m" || h.reusable() != (n < 2) {
				t.Errorf("answer %d in pieces of %d: %d %q %q, reusable %v", n, size, a.Code(), a.Body(), a.Header("mark"), h.reusable())
			}
		}
	}
}

func TestBrokenFramesEndTheConnection(t *testing.T) {
	begun := of(frameHeaders, flagEndHeaders, 1, initial)
	for name, text := range map[string][]byte{
		"too long":                   {0xff, 0, 0, 0, 0, 0, 0, 0, 1},
		"data before a head":         frames(of(frameData, 0, 1, message)),
		"trailers that are not last": frames(begun, of(frameHeaders, flagEndHeaders, 1, trailer)),
		"padding":                    frames(begun, of(frameData, flagPadded, 1, "\x09x")),
		"no padding":                 frames(begun, of(frameData, flagPadded, 1, "")),
		"priority":                   frames(of(frameHeaders, flagEndHeaders|flagPriority, 1, "123")),
		"a frame within a head":      frames(of(frameHeaders, 0, 1, initial[:3]), of(framePing, 0, 0, "12345678")),
		"continuation of nothing":    frames(of(frameContinuation, flagEndHeaders, 1, initial)),
		"an endless head":            frames(append([]func([]byte) []byte{of(frameHeaders, 0, 1, "")}, repeated(of(frameContinuation, 0, 1, strings.Repeat("a", 16_000)), 5)...)...),
		"a cut head":                 frames(of(frameHeaders, flagEndHeaders, 1, initial[:len(initial)-1])),
		"no table":                   frames(of(frameHeaders, flagEndHeaders, 1, "\xfe")),
		"no status":                  frames(of(frameHeaders, flagEndHeaders, 1, head("content-type", "application/grpc"))),
		"not found":                  frames(of(frameHeaders, flagEndHeaders, 1, head(":status", "404", "content-type", "text/html"))),
		"no gRPC":                    frames(of(frameHeaders, flagEndHeaders, 1, head(":status", "200", "content-type", "text/html"))),
		"a line break":               frames(of(frameHeaders, flagEndHeaders, 1, head(":status", "200", "a", "b\r\nc: d"))),
		"a status that is no number": frames(of(frameHeaders, flagEndHeaders, 1, head(":status", "200", "grpc-status", "x"))),
		"a reset of no code":         frames(of(frameReset, 0, 1, "")),
		"a ping":                     frames(of(framePing, 0, 0, "1")),
		"settings":                   frames(of(frameSettings, 0, 0, "12345")),
		"a window that is too large": frames(of(frameSettings, 0, 0, "\x00\x04\xff\xff\xff\xff")),
		"a frame size":               frames(of(frameSettings, 0, 0, "\x00\x05\x00\x00\x00\x01")),
		"no window":                  frames(of(frameWindowUpdate, 0, 0, "\x00\x00\x00\x00")),
		"more than a window":         frames(of(frameWindowUpdate, 0, 0, "\x7f\xff\xff\xff")),
		"a push":                     frames(of(framePush, flagEndHeaders, 1, "\x00\x00\x00\x02")),
		"going away":                 frames(of(frameGoAway, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x02")),
		"going":                      frames(of(frameGoAway, 0, 0, "")),
	} {
		if h, done, err := readCall(text, 1<<20); err == nil {
			t.Errorf("%s: no error, done %v, %v", name, done, h.failure)
		}
	}
}

func repeated[T any](one T, n int) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = one
	}
	return all
}

func TestCallsThatEndBadlyHaveNoAnswer(t *testing.T) {
	begun := of(frameHeaders, flagEndHeaders, 1, initial)
	ended := of(frameHeaders, flagEndHeaders|flagEndStream, 1, trailer)
	for name, text := range map[string][]byte{
		"reset":         frames(begun, of(frameReset, 0, 1, "\x00\x00\x00\x08")),
		"no status":     frames(begun, of(frameData, flagEndStream, 1, message)),
		"no message":    frames(begun, ended),
		"half of it":    frames(begun, of(frameData, 0, 1, message[:7]), ended),
		"two messages":  frames(begun, of(frameData, 0, 1, message+message), ended),
		"compressed":    frames(begun, of(frameData, 0, 1, "\x01"+message[1:]), ended),
		"not available": frames(of(frameHeaders, flagEndHeaders|flagEndStream, 1, head(":status", "200", "content-type", "application/grpc", "grpc-status", "14"))),
	} {
		h, done, err := readCall(text, 1<<20)
		if _, failure := h.answer(); err != nil || !done || failure == nil {
			t.Errorf("%s: done %v, %v, failure %v", name, done, err, failure)
		}
	}
}

func TestASentMessageKeepsToTheWindows(t *testing.T) {
	h := newHTTP2(encodeCalls(&Target{Requests: []Request{{Path: "/a.B/C", Body: make([]byte, 100_000)}}, Timeout: time.Second}))
	h.open()
	h.send(0)
	data := func() (n int) {
		text := h.unsent()
		if n == 0 {
			text = bytes.TrimPrefix(text, []byte(preface))
		}
		for len(text) > 0 {
			f, length, err := cutFrame(text)
			if err != nil || length == 0 {
				t.Fatal(length, err)
			}
			if f.kind == frameData {
				n += len(f.payload)
			}
			text = text[length:]
		}
		h.sent(len(h.unsent()))
		return n
	}
	receive := func(text []byte) {
		if _, err := h.received(copy(h.space(), text)); err != nil {
			t.Fatal(err)
		}
	}
	if got := data(); got != defaultWindow {
		t.Errorf("%d bytes before any window is larger", got)
	}
	receive(frames(of(frameWindowUpdate, 0, 1, "\x00\x00\x10\x00")))
	if got := data(); got != 0 {
		t.Errorf("%d bytes beyond the connection's window", got)
	}
	receive(frames(of(frameWindowUpdate, 0, 0, "\x00\x00\x08\x00")))
	if got := data(); got != 0x800 {
		t.Errorf("%d bytes, want 2048", got)
	}
	// A setting moves the window of the stream that is open, here below zero.
	receive(frames(of(frameWindowUpdate, 0, 0, "\x00\x10\x00\x00"), of(frameSettings, 0, 0, "\x00\x04\x00\x00\x00\x00")))
	if got := data(); got != 0 {
		t.Errorf("%d bytes beyond a window that was taken back", got)
	}
	receive(frames(of(frameSettings, 0, 0, "\x00\x04\x00\x02\x00\x00")))
	if got, want := data(), 100_000+messagePrefix-defaultWindow-0x800; got != want {
		t.Errorf("%d bytes, want the other %d", got, want)
	}
}

func TestAConnectionsWindowIsOpenedAgain(t *testing.T) {
	h := newHTTP2(encodeCalls(&Target{Requests: []Request{{Path: "/a.B/C"}}, Timeout: time.Second}))
	h.open()
	h.send(0)
	h.sent(len(h.unsent()))
	h.consumed = mostWindow/2 - 1
	if _, err := h.received(copy(h.space(), frames(of(frameHeaders, flagEndHeaders, 1, initial), of(frameData, 0, 1, message)))); err != nil {
		t.Fatal(err)
	}
	f, _, err := cutFrame(h.unsent())
	by, wordErr := f.word()
	if err != nil || wordErr != nil || f.kind != frameWindowUpdate || f.stream != 0 || int(by) != mostWindow/2-1+len(message) || h.consumed != 0 {
		t.Errorf("%+v, %v, %v: %d are left of what has come", f, err, wordErr, h.consumed)
	}
}

func FuzzFramesDoNotDependOnHowTheyAreCut(f *testing.F) {
	f.Add(frames(of(frameHeaders, flagEndHeaders, 1, initial), of(frameData, 0, 1, message), of(frameHeaders, flagEndHeaders|flagEndStream, 1, trailer)), 1)
	f.Add(frames(of(frameSettings, 0, 0, "\x00\x04\x00\x00\x00\x00"), of(framePing, 0, 0, "12345678"), of(frameGoAway, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x00")), 5)
	f.Add(frames(of(frameHeaders, flagEndHeaders|flagEndStream, 1, head(":status", "200", "content-type", "application/grpc", "grpc-status", "8", "grpc-message", "a%20b"))), 9)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		if size < 1 {
			return
		}
		whole, done, err := readCall(text, len(text)+1)
		cut, cutDone, cutErr := readCall(text, size)
		if (err == nil) != (cutErr == nil) {
			// What follows an answer may end the connection only where it was
			// not read together with it.
			if done || cutDone {
				return
			}
			t.Fatalf("whole %v, in pieces of %d %v", err, size, cutErr)
		}
		if err != nil || !done || !cutDone {
			if err == nil && done != cutDone {
				t.Fatalf("done %v, in pieces %v", done, cutDone)
			}
			return
		}
		a, failure := whole.answer()
		b, cutFailure := cut.answer()
		if (failure == nil) != (cutFailure == nil) || a.code != b.code || !bytes.Equal(a.body, b.body) || !bytes.Equal(a.head, b.head) {
			t.Fatalf("%+v, %v, in pieces %+v, %v", a, failure, b, cutFailure)
		}
	})
}

func TestACallThatIsLateFails(t *testing.T) {
	_, target := startLibrary(t, func(_ string, s grpc.ServerStream) error {
		<-s.Context().Done()
		return errors.New("late")
	})
	target.Timeout = 50 * time.Millisecond
	target.Requests = []Request{{Path: "/a.B/C"}}
	if err := Once(target, 0, func(Answer) error { return nil }); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("got %v", err)
	}
}
