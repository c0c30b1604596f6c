#ifndef LLM_EXPORT_HPP
#define LLM_EXPORT_HPP

#if defined(LLM_STATIC) || !defined(__GNUC__)
#define LLM_API
#else
#define LLM_API __attribute__((visibility("default")))
#endif

#endif
