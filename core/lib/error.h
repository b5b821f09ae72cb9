/* Error numbers: functions that can fail return 0 or one of these, negative. */
#pragma once

enum error {
    ERR_INVALID = -1,  /* malformed or contradictory input */
    ERR_NOMEM = -2,    /* the pool or guest memory is used up */
    ERR_RANGE = -3,    /* an address or a length leaves its object */
    ERR_NOTFOUND = -4, /* a thing that was asked for isn't there */
    ERR_NOTSUP = -5,   /* this CPU, or this code, can't do it */
    ERR_BUSY = -6,     /* already in use */
    ERR_TIMEOUT = -7,  /* no answer in time */
};
