package faults

import (
	"time"

	"github.com/ossencfs/ossencfs/emulator"
)

// matrix are the faults. docs/FAULTS.md has the same table.
var matrix = []fault{
	{name: "no answer", begin: inject(emulator.Fault{Delay: time.Minute}), cells: away("unreachable")},
	{name: "connection refused", begin: func(r *rig) { r.line.cut() }, end: func(r *rig) { r.line.mend() }, cells: away("unreachable")},
	{name: "name not found (DNS)", host: "dns.faults.test",
		begin: func(r *rig) { gone := "dns.faults.test"; r.line.cut(); names.gone.Store(&gone) },
		end:   func(r *rig) { names.gone.Store(nil); r.line.mend() }, cells: away("unreachable")},
	{name: "connections reset at once", begin: inject(emulator.Fault{ResetAfterBytes: -1}), cells: away("unreachable")},
	{name: "two resets in mid-body", begin: on(emulator.Fault{ResetAfterBytes: 10, Count: 2}, "PutObject", "GetObject")},
	{name: "every download reset in mid-body", begin: on(emulator.Fault{Key: "read", ResetAfterBytes: 50_000}, "GetObject"),
		cells: cells{"read": "ETIMEDOUT"}},
	{name: "500 InternalError", begin: inject(status(500, "InternalError")), cells: away("unavailable")},
	{name: "503 ServiceUnavailable", begin: inject(status(503, "ServiceUnavailable")), cells: away("throttled")},
	{name: "503 once for each operation", begin: on(emulator.Fault{Status: 503, Code: "ServiceUnavailable", Count: 1}, every...)},
	{name: "429 with a delay asked for", begin: on(emulator.Fault{Status: 429, QosDelayMs: 60, Count: 1}, every...)},
	{name: "throttled for good", begin: inject(emulator.Fault{Status: 503, Code: "DownloadTrafficRateLimitExceeded", QosDelayMs: 2000}),
		cells: away("throttled")},
	{name: "upload drips, and moves on", begin: on(emulator.Fault{Key: "[^l]*", Throttle: 100}, "PutObject")},
	{name: "download drips", begin: on(emulator.Fault{Key: "read", Throttle: 1000}, "GetObject"), cells: cells{"read": "ETIMEDOUT"}},
	{name: "answers lost after execution", begin: on(emulator.Fault{Key: "[^l]*", LoseResponse: true, Count: 2}, writes...)},
	{name: "executed late, after the timeout", begin: on(emulator.Fault{Key: "[^l]*", LateBy: 300 * time.Millisecond, Count: 2}, writes...)},
	{name: "wrong CRC in an answer", begin: on(emulator.Fault{WrongCRC: true, Count: 2}, "GetObject", "PutObject")},
	{name: "content damaged on the way", begin: on(emulator.Fault{CorruptBody: true, Count: 1}, "GetObject")},
	{name: "content cut short", begin: on(emulator.Fault{ResetAfterBytes: 1000, Truncate: true, Count: 1}, "GetObject")},
	{name: "token expired, a new one is there", begin: expire(true), resign: true},
	{name: "token expired, no new one", begin: expire(false), end: credentials("STS.next", "next secret", "next token"),
		cells: all("EACCES", "credentials"), resign: true},
	{name: "access key removed", begin: func(r *rig) { r.env.Server.RemoveAccessKey("STS.rig") },
		end: expire(true), cells: all("EACCES", "credentials"), resign: true},
	{name: "wrong secret", begin: func(r *rig) { r.env.Server.AddSTS("STS.rig", "another", "token", time.Time{}) },
		end: expire(true), cells: all("EACCES", "credentials"), resign: true},
	{name: "all rights revoked", begin: inject(status(403, "AccessDenied")), cells: all("EACCES", "denied")},
	{name: "right to write revoked", begin: on(status(403, "AccessDenied"), writes...), cells: cells{"unmount": left}},
	{name: "clock a day ahead", begin: skew(24 * time.Hour), end: skew(0), resign: true},
	{name: "clock a day behind", begin: skew(-24 * time.Hour), end: skew(0), resign: true},
	{name: "bucket deleted", begin: inject(status(404, "NoSuchBucket")), cells: all("ENODEV", "no bucket")},
	{name: "quota exceeded", begin: on(status(403, "QuotaExceeded"), "PutObject", "CopyObject"), cells: cells{"unmount": left}},
	{name: "account not paid", begin: inject(status(403, "UserDisable")), cells: all("EDQUOT", "quota")},
	{name: "object archived", begin: inject(emulator.Fault{Operation: "GetObject", Key: "read", Status: 403, Code: "InvalidObjectState"}),
		cells: cells{"read": "ENODATA"}},
	{name: "retention policy (WORM)", begin: on(status(403, "FileImmutable"), writes...), cells: cells{"unmount": left}},
	{name: "KMS down", kms: true, begin: faultKMS(status(503, "ServiceUnavailable")), cells: cells{"mount": "KMS unreachable", "unmount": left}},
	{name: "KMS throttles", kms: true, begin: faultKMS(status(400, "Throttling.User")), cells: cells{"mount": "KMS unreachable", "unmount": left}},
	{name: "KMS key disabled", kms: true, begin: faultKMS(status(400, "Forbidden.KeyNotEnabled")), cells: cells{"mount": "KMS denied", "unmount": left}},
}
